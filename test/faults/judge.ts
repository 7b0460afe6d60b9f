/** The oracle of the kill sweep: every promise that a turn could have broken, by rows, mails, model requests and readers. */

import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '../../src/client/client.ts';
import type { JournalEvent } from '../../src/client/events.ts';
import type { TestDatabase } from '../support/database.ts';
import { toldSoFar } from '../support/mailing.ts';
import type { SmtpServer } from '../support/smtp-server.ts';
import type { Talk } from '../support/talk.ts';
import { messagesOf, oddEvents, oddHistory, sameMessage, textOf } from './oracle.ts';
import { EDITED, INSTEAD, SCENARIOS, type Scenario } from './scenarios.ts';

/** The promises that the sweep tries. */
export const JUDGED = {
  P1: 'kill -9 at each crossing of a port: the message is there, once',
  P2: 'kill -9 at each crossing of a port: the turn ends or waits within 60 s',
  P3: 'kill -9 in a turn with approvals or credits: one effect an approval, credits = ledger',
  P7: 'kill -9: message text = journal text = what both readers see',
  P10: 'kill -9: the model is shown each call with one result',
} as const;
export type Judged = keyof typeof JUDGED;

export interface Fault {
  promise: Judged;
  text: string;
}

/** A scenario that was played to its end. */
export interface Played {
  scenario: Scenario;
  words: string;
  threadId: string;
  addresses: readonly string[];
  /** What a reader heard that was there from the beginning. */
  follower: Promise<JournalEvent[]>;
}

interface TurnRow {
  id: string;
  status: string;
  error: unknown;
  credits: number;
}

interface ApprovalRow {
  id: string;
  kind: string;
  status: string;
  decision: string | null;
  hash: string;
  tool_call_id: string;
}

interface EffectRow {
  tool_call_id: string;
  tool: string;
  effect_class: string;
  state: string;
  attempt: number;
  approval_id: string | null;
  args_hash: string;
  credits: number;
  mail: string | null;
}

export interface JudgeNeeds {
  smtp: SmtpServer;
  talk: Talk;
  /** What the account was given before the turn. */
  credits: number;
}

/** What passes without asking, as a new workspace has it. */
const AUTO_SPEND = 10;

export function createJudge({ smtp, talk, credits }: JudgeNeeds) {
  /** Answers what is wrong; `intended` are the calls that were begun when the process died. */
  return async function judge(
    database: TestDatabase,
    client: Client,
    played: Played,
    intended: ReadonlySet<string>,
  ): Promise<Fault[]> {
    const { scenario, words, threadId, addresses } = played;
    const faults: Fault[] = [];
    const claim = (promise: Judged, holds: boolean, text: string) => {
      if (!holds) faults.push({ promise, text });
    };
    const rows = <Row extends object>(sql: string) =>
      database.query<Row & Record<string, unknown>>(sql, [threadId]);

    // P2: how its turns ended.
    const turns = await rows<TurnRow>(
      `select id, status, error, (usage->>'credits')::int as credits from turns where conversation_id = $1 order by created_at, id`,
    );
    const ended = turns.map(({ status }) => status).join();
    const errors = JSON.stringify(turns.map(({ error }) => error));
    claim('P2', ended === scenario.ends.join(), `the turns are ${ended} ${errors}`);
    for (const table of ['journal_inbox', 'turn_checkpoints']) {
      const left = await eventuallyNone(() => database.query(`select * from ${table}`));
      claim('P2', left.length === 0, `${table} keeps ${JSON.stringify(left)}`);
    }

    // P1: what was said.
    const [{ count } = { count: '0' }] = await database.query<{ count: string }>(
      'select count(*) from turns',
    );
    claim('P1', Number(count) === scenario.ends.length, `${count} turns in the whole database`);
    const { messages } = await client.conversation(threadId);
    const said = messages.filter(({ role }) => role === 'user').map(({ content }) => content);
    const expected = [words, `${INSTEAD} ${words}`].slice(0, scenario.ends.length);
    claim('P1', said.join('|') === expected.join('|'), `the user said ${said.join('|')}`);

    // P7: what was told is what is kept.
    const answers = messages.filter(({ role }) => role === 'assistant');
    claim('P7', answers.length === scenario.ends.length, `${answers.length} answers`);
    const events = await toldSoFar(client, threadId);
    const followed = await played.follower;
    for (const [index, answer] of answers.entries()) {
      const status = scenario.ends[index] === 'completed' ? 'complete' : 'partial';
      claim('P7', answer.status === status, `the answer is ${answer.status}`);
      const seen = (heard: readonly JournalEvent[]) => messagesOf(heard).find(({ id }) => id === answer.id);
      claim(
        'P7',
        sameMessage(seen(events), answer),
        'a reader from 0 sees another message than the kept one',
      );
      const along = seen(followed);
      const both = `${JSON.stringify(along)}, and kept is ${JSON.stringify(answer)}: ${JSON.stringify(followed)}`;
      claim('P7', sameMessage(along, answer), `a reader that came along sees ${both}`);
      const text = textOf(events, answer.turn_id);
      claim('P7', text === answer.content, `the deltas say "${text}", the message "${answer.content}"`);
      const open = answer.parts.filter((part) => part.type === 'tool' && part.status === 'running');
      claim('P7', open.length === 0, `${open.length} calls without a result`);
    }
    for (const text of oddEvents(events, scenario.ends.at(-1) ?? '')) faults.push({ promise: 'P7', text });
    const overlaps =
      await rows(`select 1 from events one join events other on one.conversation_id = other.conversation_id
      and one.seq < other.seq and other.seq_from <= one.seq where one.conversation_id = $1`);
    claim('P7', overlaps.length === 0, `${overlaps.length} rows of the journal share a number`);
    if (scenario.meanwhile === 'rename') {
      const told = events.filter(({ type }) => type === 'conversation-update');
      claim('P7', told.length > 0, 'nobody was told of the new title');
    }

    for (const request of talk.requests(words))
      for (const text of oddHistory(request)) faults.push({ promise: 'P10', text });

    // P3: what was done.
    const approvals = await rows<ApprovalRow>(
      `select id, kind, status, decision, coalesce(executed_hash, args_hash) as hash, tool_call_id
         from approvals where conversation_id = $1`,
    );
    const effects = await rows<EffectRow>(
      `select e.tool_call_id, e.tool, e.effect_class, e.state, e.attempt, e.approval_id, e.args_hash, e.credits, o.status as mail
         from effects e join turns t on t.id = e.turn_id
         left join outbox o on o.turn_id = e.turn_id and o.tool_call_id = e.tool_call_id where t.conversation_id = $1`,
    );
    const proposals = approvals.filter(({ kind }) => kind === 'proposal');
    claim('P3', proposals.length === scenario.cards, `${proposals.length} cards`);
    const shouldBe =
      scenario.instead === 'expire'
        ? 'expired'
        : scenario.instead === undefined
          ? scenario.decision === 'reject'
            ? 'rejected'
            : 'approved'
          : 'superseded';
    for (const { status } of proposals) claim('P3', status === shouldBe, `a card is ${status}`);
    claim(
      'P3',
      approvals.every(({ status }) => status !== 'pending'),
      'a card still waits',
    );
    claim('P3', effects.length === scenario.effects, `${effects.length} effects`);
    for (const effect of effects) judgeEffect(effect, approvals, scenario, intended, claim);
    const unasked = effects.filter((effect) => effect.approval_id === null);
    const spent = unasked.reduce((sum, effect) => sum + effect.credits, 0);
    claim('P3', spent <= AUTO_SPEND, `${spent} credits were spent unasked`);

    // Mails, as the server counted them.
    const retries = approvals.filter(({ decision }) => decision === 'retry').length;
    const sends = effects.some(({ tool }) => tool === 'send_email');
    for (const address of addresses) {
      const taken = smtp.takenFor(address);
      claim('P3', taken.length >= (sends ? 1 : 0), 'no mail was sent');
      // Each "retry" allows one more; without one there is one mail, or none.
      const may = sends ? 1 + (scenario.drops === undefined ? 0 : retries) : 0;
      claim('P3', taken.length <= may, `${taken.length} mails to ${address} with ${retries} retries`);
      const edited = taken.every(({ text }) => text.startsWith(EDITED));
      if (scenario.decision === 'edit') claim('P3', edited, 'the mail is not the edited one');
    }

    // Credits: the account, its ledger, its reservations and the effects say the same.
    const [account] = await database.query<{
      balance: number;
      reserved: number;
      used: number;
      moved: number;
    }>(
      `select balance, reserved, used, (select coalesce(sum(amount), 0)::int from credit_transactions t
         where t.workspace_id = a.workspace_id) as moved from credit_accounts a`,
    );
    const captured = effects.reduce((sum, effect) => sum + effect.credits, 0);
    const [held] = await database.query<{ captured: number; open: number }>(
      `select coalesce(sum(captured), 0)::int as captured, coalesce(sum(credits - captured - released), 0)::int as open
         from credit_reservations`,
    );
    const told = turns.reduce((sum, turn) => sum + turn.credits, 0);
    const sums = { ...account, ...held, told };
    const due = { balance: credits - captured, reserved: 0, used: captured, moved: credits - captured };
    const agree = { ...due, captured, open: 0, told: captured };
    claim('P3', JSON.stringify(sums) === JSON.stringify(agree), `credits ${JSON.stringify({ sums, agree })}`);

    if (scenario === SCENARIOS.launch) {
      const [launch] = await database.query<Record<string, number>>(
        `select (select count(*)::int from campaign_launches) as launches,
                (select count(*)::int from campaign_leads where status = 'active') as enrolled,
                (select count(*)::int from outbox where campaign_lead_id is not null) as mails,
                (select count(distinct campaign_lead_id)::int from outbox) as recipients`,
      );
      const { launches, enrolled = 0, mails, recipients } = launch ?? {};
      const whole = launches === 1 && enrolled > 0 && mails === enrolled && recipients === enrolled;
      claim('P3', whole, `the launch left ${JSON.stringify(launch)}`);
    }
    return faults;
  };
}

/** Looks until nothing is left, for some seconds: what is swept is swept once a second. */
async function eventuallyNone<Row>(look: () => Promise<Row[]>): Promise<Row[]> {
  const until = Date.now() + 10_000;
  for (;;) {
    const left = await look();
    if (left.length === 0 || Date.now() > until) return left;
    await wait(50);
  }
}

function judgeEffect(
  effect: EffectRow,
  approvals: readonly ApprovalRow[],
  scenario: Scenario,
  intended: ReadonlySet<string>,
  claim: (promise: Judged, holds: boolean, text: string) => void,
): void {
  const card = approvals.find(({ id }) => id === effect.approval_id);
  if (effect.approval_id !== null || effect.effect_class !== 'spend') {
    const matches = card?.status === 'approved' && card.tool_call_id === effect.tool_call_id;
    claim('P3', matches, `an effect of ${effect.tool} without an approved approval`);
    claim('P3', card?.hash === effect.args_hash, 'an effect of other arguments than the approved ones');
  }
  claim('P3', effect.state === 'done', `the effect is ${effect.state}`);
  if (effect.tool !== 'send_email') return;
  claim('P3', effect.mail === 'sent', `the mail is ${effect.mail}`);
  const asked = approvals.filter(
    ({ kind, tool_call_id }) => kind === 'outcome' && tool_call_id === effect.tool_call_id,
  );
  const retries = asked.filter(({ decision }) => decision === 'retry').length;
  if (scenario.deduplicates === true) {
    claim('P3', asked.length === 0, `asked ${asked.length} times although the provider deduplicates`);
    return;
  }
  // Begun and not known how it ended: a person is asked, once; else nobody is.
  const expected = intended.has(effect.tool_call_id) ? 1 : 0;
  if (scenario.drops === undefined)
    claim('P3', asked.length === expected, `asked ${asked.length} times what happened, and not ${expected}`);
  claim('P3', effect.attempt === 1 + retries, `${effect.attempt} attempts with ${retries} retries`);
}
