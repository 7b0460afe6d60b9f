/** The tool that reads what came back to the mails that were sent. */

import { z } from 'zod';
import { visibleText } from '../resources/leads/visible-text.ts';
import type { Replies } from '../resources/replies/replies.ts';
import { listRepliesQuery, REPLY_KINDS } from '../resources/replies/schema.ts';
import { type Tool, tool } from './tool.ts';

const schema = z.strictObject({
  campaign_id: z.uuid().optional().describe('Only what came to mails of this campaign.'),
  kind: z.enum(REPLY_KINDS).optional().describe('Only of this kind.'),
  since: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('Only what came at this instant (ISO 8601) or later.'),
  limit: z.int().min(1).max(25).default(10).describe('How many of the newest.'),
});

/** How much of one reply the model gets to read. */
const TEXT_SHOWN = 1500;

export function createListRepliesTool({ replies }: { replies: Pick<Replies, 'list'> }): Tool {
  return tool<z.output<typeof schema>>({
    name: 'list_replies',
    description:
      'Lists the newest mails that came back: "reply" (a person wrote it; the lead gets no further mail of that campaign), "auto_reply" (such as an out-of-office; changes nothing), "bounce" (it did not arrive; after a hard one the address is suppressed). Answers `total` and `replies` with their words, without what they quote.',
    schema,
    // All of it was written by strangers.
    untrusted: true,
    effect: 'none',
    async run({ caller }, args) {
      const { total, replies: found } = await replies.list(caller, listRepliesQuery.parse(args));
      return {
        total,
        replies: found.map((one) => ({
          reply_id: one.reply_id,
          kind: one.kind,
          ...(one.bounce === null ? {} : { bounce: one.bounce }),
          from_email: one.from_email,
          from_name: one.from_name,
          subject: visibleText(one.subject),
          text: visibleText(unquoted(one.text), TEXT_SHOWN),
          received_at: one.received_at,
          campaign_id: one.campaign_id,
          lead_id: one.lead_id,
        })),
      };
    },
  });
}

/** The text without the lines that quote another one. */
function unquoted(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('>'))
    .join('\n');
}
