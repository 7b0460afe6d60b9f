import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { Approval, Decision } from '../../src/client/events.ts';
import {
  cardOf,
  endOf,
  lastAnswer,
  type Mailing,
  openMailing,
  say,
  sendEmail,
  toldSoFar,
} from '../support/mailing.ts';

let mailing: Mailing;
let one: Client;
let other: Client;
beforeAll(async () => {
  mailing = await openMailing();
  const processes = await Promise.all([mailing.startProcess(), mailing.startProcess()]);
  [one, other] = processes.map((service) => service.client) as [Client, Client];
});
afterAll(() => mailing.close());

async function propose() {
  const name = `race-${v7()}`;
  const address = `${name}@acme.example`;
  mailing.talk.plan(name, [{ toolCalls: [sendEmail(await mailing.addLead(address))] }, 'So be it.']);
  const { threadId } = await say(one, name);
  return { name, address, threadId, card: await cardOf(one, threadId) };
}

/** The recorded approval, or the refusal that names the winner. */
async function attempt(client: Client, card: Approval, decision: Decision['decision']): Promise<Approval> {
  try {
    const answer = await client.request<{ approval: Approval }>(
      'POST',
      `/api/v1/agent/conversations/${card.thread_id}/approvals/${card.approval_id}/decision`,
      { decision, args_hash: card.args_hash },
    );
    return answer.approval;
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'ALREADY_DECIDED') throw error;
    const { winner } = error.body as { winner: Approval };
    return { ...winner, reason: 'lost' };
  }
}

async function race(decisions: [Decision['decision'], Decision['decision']]) {
  const { name, address, threadId, card } = await propose();
  const outcomes = await Promise.all([attempt(one, card, decisions[0]), attempt(other, card, decisions[1])]);
  const lost = outcomes.filter(({ reason }) => reason === 'lost');
  const won = outcomes.filter(({ reason }) => reason !== 'lost');
  expect(won).toHaveLength(1);
  expect(lost).toHaveLength(1);
  expect(lost[0]).toMatchObject({ status: won[0]?.status, decision: won[0]?.decision });
  const sent = won[0]?.decision === 'approve' ? 1 : 0;
  // Either process tells the same end.
  for (const client of [one, other]) expect(endOf(await toldSoFar(client, threadId))).toBe('completed');
  expect(mailing.smtp.takenFor(address)).toHaveLength(sent);
  expect(mailing.talk.requests(name)).toHaveLength(2);
  const { parts } = await lastAnswer(other, threadId);
  expect(parts.find((part) => part.type === 'tool')).toMatchObject({
    status: sent === 1 ? 'ok' : 'rejected',
  });
  return sent;
}

describe('two people who decide at the same moment, each on a process of their own', () => {
  const ROUNDS = Array.from({ length: 10 }, (_, round) => round);

  it.concurrent.each(ROUNDS)('one of approve and reject wins, and the other is told so (%i)', async () => {
    await race(['approve', 'reject']);
    await race(['reject', 'approve']);
  });

  it.concurrent.each(ROUNDS.slice(0, 5))('two who approve make one mail (%i)', async () => {
    expect(await race(['approve', 'approve'])).toBe(1);
  });
});
