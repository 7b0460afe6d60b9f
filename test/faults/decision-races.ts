/** Two people who decide at the same moment, each on a process of their own. */

import { v7 } from 'uuid';
import { afterAll, beforeAll } from 'vitest';
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
import { proves } from '../support/proves.ts';
import { reduced, sameMessage } from './oracle.ts';

type Pair = [Decision['decision'], Decision['decision']];

/** Declares the races: `contradictions` of approve against reject, `agreements` of approve and approve. */
export function provesDecisionRaces(sizes: { contradictions: number; agreements: number }): void {
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

  async function race(decisions: Pair): Promise<string[]> {
    const { name, address, threadId, card } = await propose();
    const outcomes = await Promise.all([
      attempt(one, card, decisions[0]),
      attempt(other, card, decisions[1]),
    ]);
    const lost = outcomes.filter((outcome) => outcome.lost);
    const won = outcomes.filter((outcome) => !outcome.lost);
    const faults: string[] = [];
    if (won.length !== 1) faults.push(`${won.length} of two decisions won`);
    const winner = won[0]?.approval;
    const named = lost[0]?.approval;
    if (named?.status !== winner?.status || named?.decision !== winner?.decision)
      faults.push(`the winner is ${winner?.decision}, the loser was told ${named?.decision}`);
    if (!decisions.includes(winner?.decision ?? 'edit')) faults.push(`nobody decided ${winner?.decision}`);
    const expected = winner?.decision === 'approve' ? 1 : 0;
    // Either process tells the same end.
    const told = await Promise.all([toldSoFar(one, threadId), toldSoFar(other, threadId)]);
    for (const events of told)
      if (endOf(events) !== 'completed') faults.push(`the turn ended ${endOf(events)}`);
    if (!sameMessage(reduced(told[0]), reduced(told[1]))) faults.push('the processes tell two stories');
    const sent = mailing.smtp.takenFor(address).length;
    if (sent !== expected) faults.push(`${sent} mails after ${winner?.decision}`);
    const asked = mailing.talk.requests(name).length;
    if (asked !== 2) faults.push(`the model was asked ${asked} times`);
    const { parts } = await lastAnswer(other, threadId);
    const call = parts.find((part) => part.type === 'tool');
    if (call?.status !== (expected === 1 ? 'ok' : 'rejected')) faults.push(`the call ended ${call?.status}`);
    return faults;
  }

  proves('P4', 'approve against reject, over two processes', sizes.contradictions, (tally) =>
    tally.each(
      Array.from(
        { length: sizes.contradictions },
        (_, round): Pair => (round % 2 === 0 ? ['approve', 'reject'] : ['reject', 'approve']),
      ),
      8,
      race,
    ),
  );

  proves('P4', 'approve twice, over two processes: one mail', sizes.agreements, (tally) =>
    tally.each(
      Array.from({ length: sizes.agreements }, (): Pair => ['approve', 'approve']),
      8,
      race,
    ),
  );
}

/** The recorded approval, or the refusal's that names the winner. */
async function attempt(
  client: Client,
  card: Approval,
  decision: Decision['decision'],
): Promise<{ approval: Approval; lost: boolean }> {
  try {
    const { approval } = await client.request<{ approval: Approval }>(
      'POST',
      `/api/v1/agent/conversations/${card.thread_id}/approvals/${card.approval_id}/decision`,
      { decision, args_hash: card.args_hash },
    );
    return { approval, lost: false };
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'ALREADY_DECIDED') throw error;
    return { approval: (error.body as { winner: Approval }).winner, lost: true };
  }
}
