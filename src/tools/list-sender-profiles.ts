/** The tool by which the agent learns who it may write as. */

import { z } from 'zod';
import { senderOf } from '../resources/sender-profiles/sender.ts';
import type { SenderProfiles } from '../resources/sender-profiles/sender-profiles.ts';
import { type Tool, tool } from './tool.ts';

export function createListSenderProfilesTool({
  senderProfiles,
}: {
  senderProfiles: Pick<SenderProfiles, 'list'>;
}): Tool {
  return tool({
    name: 'list_sender_profiles',
    description:
      "Lists the user's sender profiles, newest first: who an email can be written as. Without a chosen profile the default one is used, else the newest. An empty list means that the user must create one first.",
    schema: z.strictObject({}),
    untrusted: false,
    effect: 'none',
    async run({ caller }) {
      const profiles = await senderProfiles.list(caller, { limit: 100, offset: 0 });
      return {
        sender_profiles: profiles.map((profile) => ({
          sender_profile_id: profile.id,
          name: profile.profile_name,
          ...senderOf(profile),
          is_default: profile.is_default,
        })),
      };
    },
  });
}
