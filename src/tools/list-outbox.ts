/** The tool that reads the outbox. */

import { z } from 'zod';
import type { Outbox } from '../resources/outbox/outbox.ts';
import { type Tool, tool } from './tool.ts';

const schema = z.strictObject({
  limit: z.number().int().min(1).max(50).default(20).describe('How many of the newest mails.'),
});

export function createListOutboxTool({ outbox }: { outbox: Outbox }): Tool {
  return tool<z.output<typeof schema>>({
    name: 'list_outbox',
    description:
      'Lists the newest mails of the outbox with their status: "sent"; "sandbox" (kept here, nothing left this machine); "sending"; "failed"; "unknown" (it may have left). "test": a person sent it to themselves from a card.',
    schema,
    // Subjects may quote what a lead's row says.
    untrusted: true,
    effect: 'none',
    async run({ caller }, { limit }) {
      const { total, mails } = await outbox.list(caller, { limit });
      return {
        total,
        mails: mails.map(({ outbox_id, to, subject, status, test, created_at, sent_at }) => ({
          outbox_id,
          to,
          subject,
          status,
          ...(test ? { test } : {}),
          created_at,
          sent_at,
        })),
      };
    },
  });
}
