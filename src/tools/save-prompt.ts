/** The tool that keeps how mails are to be written, on a sender profile. */

import { z } from 'zod';
import type { Database } from '../db/database.ts';
import { createPromptBody } from '../resources/sender-profiles/schema.ts';
import type { SenderProfiles } from '../resources/sender-profiles/sender-profiles.ts';
import { type Tool, tool } from './tool.ts';

export interface SavePromptNeeds {
  database: Database;
  senderProfiles: Pick<SenderProfiles, 'resolveWithin' | 'savePromptWithin'>;
}

const schema = z.strictObject({
  prompt: createPromptBody.shape.prompt.describe('How mails are to be written, in 100 characters or more.'),
  name: createPromptBody.shape.name.default('saved').describe('Its name; one that has it is replaced.'),
  sender_profile_id: z.uuid().optional().describe("Without it the user's default profile."),
});

const standsSchema = z.object({ sender_profile_id: z.uuid() });

export function createSavePromptTool({ database, senderProfiles }: SavePromptNeeds): Tool {
  return tool<z.output<typeof schema>>({
    name: 'save_prompt',
    description:
      'Keeps a prompt on a sender profile: the texts of personalize_email and generate_drafts are then written by it. Say the prompt in the words of the user.',
    schema,
    untrusted: false,
    effect: 'inside',

    async propose({ caller }, args) {
      const profile = await database.within(caller.workspaceId, (tx) =>
        senderProfiles.resolveWithin(tx, caller, args.sender_profile_id),
      );
      return {
        args,
        stands: { sender_profile_id: profile.id },
        effectClass: 'write',
        credits: 0,
        title: `Save the prompt "${args.name}"`,
        facts: [
          { label: 'Sender profile', value: profile.profile_name },
          { label: 'Name', value: args.name },
          { label: 'Prompt', value: args.prompt },
        ],
        warnings: [],
        preview: [],
        consequence:
          'Texts that are written from now on follow it. Those that are written already stay as they are.',
      };
    },

    async runWithin(tx, { caller }, proposal) {
      const { name, prompt } = schema.parse(proposal.args);
      const { sender_profile_id: id } = standsSchema.parse(proposal.stands);
      const saved = await senderProfiles.savePromptWithin(tx, caller, id, { name, prompt });
      return { sender_profile_id: id, name: saved.name, updated_at: saved.updated_at };
    },
  });
}
