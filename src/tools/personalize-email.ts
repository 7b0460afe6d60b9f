/** The tool that writes one email to one lead; it keeps nothing and sends nothing. */

import { z } from 'zod';
import type { Personalization } from '../resources/personalization/personalization.ts';
import { text } from '../resources/text.ts';
import { type Tool, tool } from './tool.ts';

const schema = z.strictObject({
  lead_id: z.uuid().describe('The lead to write to.'),
  sender_profile_id: z.uuid().optional().describe("Who writes; without it the user's default profile."),
  template_id: z.uuid().optional().describe('A template to fill, where the user asked for one.'),
  instructions: text.max(2000).optional().describe('What the email shall say, in the words of the user.'),
});

export function createPersonalizeEmailTool({ personalization }: { personalization: Personalization }): Tool {
  return tool<z.output<typeof schema>>({
    name: 'personalize_email',
    description:
      'Writes an email to one lead from what is known of them. Nothing is kept or sent: show the draft, or pass lead_id, subject and body on to send_email. "commonality" says what it builds on, and the field that says so.',
    schema,
    untrusted: true,
    effect: 'none',
    async run({ caller, signal, spent }, { lead_id, sender_profile_id, template_id, instructions }) {
      const { to, subject, body, commonality } = await personalization.writeForLead(caller, {
        leadId: lead_id,
        senderProfileId: sender_profile_id,
        templateId: template_id,
        instructions,
        signal,
        spent,
      });
      const grounds = commonality === null ? null : { text: commonality.text, field: commonality.field };
      return { lead_id, to, subject, body, commonality: grounds };
    },
  });
}
