/** A service that was given a key signs the mails that its people approve. */

import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkDkim } from '../../support/dkim.ts';
import { cardOf, decide, endOf, type Mailing, openMailing, say, sendEmail } from '../../support/mailing.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
let mailing: Mailing;
beforeAll(async () => {
  mailing = await openMailing({
    DKIM_DOMAIN: 'us.example',
    DKIM_SELECTOR: 'autumn',
    DKIM_KEY: String(privateKey.export({ type: 'pkcs8', format: 'pem' })).replaceAll('\n', '\\n'),
  });
});
afterAll(() => mailing.close());

it('signs with the key, the domain and the selector of its variables', async () => {
  const service = await mailing.start();
  const leadId = await mailing.addLead('maureen@lead.example');
  await mailing.addSender({
    data: { from_name: 'Alex', from_email: 'alex@us.example', postal_address: 'Us, 1 Road' },
  });
  mailing.talk.plan('Write to Maureen.', [{ toolCalls: [sendEmail(leadId)] }, 'Sent.']);
  const { threadId } = await say(service.client, 'Write to Maureen.');
  const told = await decide(service.client, await cardOf(service.client, threadId), 'approve');
  expect(endOf(told)).toBe('completed');
  const [mail] = mailing.smtp.takenFor('maureen@lead.example');
  expect(checkDkim(mail?.raw ?? '', publicKey)).toMatchObject({
    valid: true,
    tags: { d: 'us.example', s: 'autumn' },
  });
});
