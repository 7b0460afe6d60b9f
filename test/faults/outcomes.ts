/** Mails that a server takes without saying so: asked about, decided, and never repeated by themselves; or repeated where that is safe. */

import { v7 } from 'uuid';
import { afterAll, beforeAll } from 'vitest';
import type { Decision } from '../../src/client/events.ts';
import { deduplicating } from '../support/kill-points.ts';
import {
  cardOf,
  cardsOf,
  decide,
  endOf,
  lastAnswer,
  type Mailing,
  openMailing,
  say,
  sendEmail,
} from '../support/mailing.ts';
import { proves } from '../support/proves.ts';
import type { ServiceHere } from '../support/service.ts';

const DECISIONS: Decision['decision'][] = ['mark_done', 'mark_failed', 'retry'];
const AT_ONCE = 6;

/** Declares `count` mails whose answer is lost, to a server that cannot deduplicate and to one that does. */
export function provesOutcomes(count: number): void {
  let mailing: Mailing;
  let plain: ServiceHere;
  let known: ServiceHere;
  const tries = Array.from({ length: count }, (_, index) => index);
  beforeAll(async () => {
    mailing = await openMailing({ LEASE_SECONDS: '60' });
    plain = await mailing.start();
    known = await mailing.start({ wrap: deduplicating });
    // Each first answer is lost; the addresses say whether the server compares message ids.
    const seen = new Set<string>();
    mailing.smtp.treat(({ to, messageId }) => {
      const first = !seen.has(messageId);
      seen.add(messageId);
      if (first) return 'drop';
      return to.startsWith('compared') ? 'repeat' : 'take';
    });
  });
  afterAll(() => mailing.close());

  /** A mail that was approved and begun, as far as it comes by itself. */
  async function send(service: ServiceHere, prefix: string) {
    const words = `${prefix} ${v7()}`;
    const address = `${words.replace(' ', '-')}@acme.example`;
    mailing.talk.plan(words, [{ toolCalls: [sendEmail(await mailing.addLead(address))] }, 'So it went.']);
    const { threadId } = await say(service.client, words);
    const end = endOf(await decide(service.client, await cardOf(service.client, threadId), 'approve'));
    const [effect] = await mailing.database.query<{ state: string; attempt: number; turn_id: string }>(
      `select e.state, e.attempt, e.turn_id from effects e join turns t on t.id = e.turn_id where t.conversation_id = $1`,
      [threadId],
    );
    return { threadId, address, end, effect, mails: () => mailing.smtp.takenFor(address).length };
  }

  proves(
    'P3',
    'a lost answer of a mail server that cannot deduplicate: asked, never repeated by itself',
    count,
    (tally) =>
      tally.each(tries, AT_ONCE, async (index) => {
        const { threadId, end, effect, mails } = await send(plain, 'plain');
        const faults: string[] = [];
        if (end !== 'awaiting_approval') faults.push(`it ended ${end}`);
        if (effect?.state !== 'unknown') faults.push(`the effect is ${effect?.state}`);
        const [question] = await cardsOf(plain.client, threadId);
        if (question?.kind !== 'outcome') return [...faults, `what is asked is ${question?.kind}`];
        if (mails() !== 1) faults.push(`${mails()} mails before a decision`);
        const decision = DECISIONS[index % DECISIONS.length] ?? 'retry';
        const told = await decide(plain.client, question, decision);
        if (endOf(told) !== 'completed') faults.push(`it ended ${endOf(told)} after ${decision}`);
        if (mails() !== (decision === 'retry' ? 2 : 1)) faults.push(`${mails()} mails after ${decision}`);
        const { parts } = await lastAnswer(plain.client, threadId);
        const call = parts.find((part) => part.type === 'tool');
        if (call?.status !== (decision === 'mark_failed' ? 'error' : 'ok'))
          faults.push(`the call ended ${call?.status} after ${decision}`);
        return faults;
      }),
  );

  proves(
    'P3',
    'a lost answer of a mail server that deduplicates: repeated, one mail, nobody asked',
    count,
    (tally) =>
      tally.each(tries, AT_ONCE, async () => {
        const { end, effect, mails } = await send(known, 'compared');
        const faults: string[] = [];
        if (end !== 'completed') faults.push(`it ended ${end}`);
        if (effect?.state !== 'done' || effect.attempt !== 2) faults.push(JSON.stringify(effect));
        if (mails() !== 1) faults.push(`${mails()} mails`);
        return faults;
      }),
  );
}
