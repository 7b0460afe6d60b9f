/** What must be so after every schedule, by the promises' numbers. Each finding is a sentence; none is good. */

import { applyEvent, createConversationState } from '../../../src/client/conversation.ts';
import type { JournalEvent as ToldEvent } from '../../../src/client/events.ts';
import type { EventType, JournalEvent, Message } from '../../../src/runtime/events.ts';
import { isDelta } from '../../../src/runtime/events.ts';
import type { StoredEvent } from '../../../src/runtime/ports.ts';
import type { TurnRow } from '../../support/memory/database.ts';
import { sorted } from '../oracle.ts';
import type { Follower, World } from './world.ts';

/** Told only when it is stored: whoever heard one of these may act on it. */
const CRITICAL: readonly EventType[] = [
  'user-message',
  'run-start',
  'run-end',
  'approval-request',
  'approval-end',
  'tool-end',
  'conversation-update',
];

export function findFaults(world: World): string[] {
  return [
    ...world.faults,
    ...messagesKept(world),
    ...turnsEnded(world),
    ...effectsOnce(world),
    ...decisionsOnce(world),
    ...journalInOrder(world),
    ...world.followers.flatMap((follower, index) => suffixHeard(world, follower, index)),
    ...storiesAgree(world),
  ];
}

function messagesKept({ database, acknowledged }: World): string[] {
  const users = [...database.messages.values()].filter(({ role }) => role === 'user');
  return acknowledged.flatMap(({ threadId, turnId, words }) => {
    const kept = users.filter(({ content }) => content === words);
    const [row] = kept;
    return kept.length === 1 && row?.thread_id === threadId && row.turn_id === turnId
      ? []
      : [`P1: "${words}" is kept ${kept.length} times`];
  });
}

function turnsEnded({ database }: World): string[] {
  const faults: string[] = [];
  const live = new Map<string, number>();
  for (const turn of database.turns.values()) {
    const pending = cardsOf(turn).filter(({ status }) => status === 'pending').length;
    if (turn.status === 'running') faults.push(`P2: turn ${turn.id} still runs`);
    if (turn.status === 'awaiting_approval' && pending === 0)
      faults.push(`P2: turn ${turn.id} waits for nothing`);
    if (turn.status !== 'awaiting_approval' && pending > 0)
      faults.push(`P2: turn ${turn.id} is ${turn.status} and ${pending} of its cards wait`);
    if (turn.status === 'running' || turn.status === 'awaiting_approval')
      live.set(turn.threadId, (live.get(turn.threadId) ?? 0) + 1);
    const message = database.messages.get(turn.messageId);
    if (message === undefined) faults.push(`P2: turn ${turn.id} has no message`);
    for (const part of message?.parts ?? [])
      if (part.type === 'tool' && part.status === 'running' && turn.status !== 'awaiting_approval')
        faults.push(`P2: turn ${turn.id} is ${turn.status} with an open call ${part.tool_call_id}`);
  }
  for (const [threadId, count] of live) if (count > 1) faults.push(`P6: ${count} turns live in ${threadId}`);
  if (database.inbox.length > 0) faults.push(`P7: ${database.inbox.length} facts were never told`);
  return faults;

  function cardsOf({ id }: TurnRow) {
    return [...database.cards.values()].filter(({ turnId }) => turnId === id);
  }
}

function effectsOnce({ database, outside }: World): string[] {
  const faults: string[] = [];
  const effects = [...database.effects.values()];
  for (const effect of effects) {
    const { toolCallId, tool } = effect.call;
    const cards = [...database.cards.values()].filter((card) => card.toolCallId === toolCallId);
    if (tool === 'note') {
      if (outside.notes.get(toolCallId) !== 1)
        faults.push(`P3: note ${toolCallId} was written ${outside.notes.get(toolCallId)} times`);
      continue;
    }
    const retries = cards.filter(({ decision }) => decision === 'retry').length;
    const said = cards.some(({ decision }) => decision === 'mark_done');
    const physical = (tool === 'mail' ? outside.mails : outside.orders).get(effect.providerKey) ?? 0;
    const allowed = tool === 'mail' ? 1 + retries : 1;
    if (physical > allowed) faults.push(`P3: ${tool} ${toolCallId} went out ${physical} times`);
    if (effect.state === 'done' && physical === 0 && !said)
      faults.push(`P3: ${tool} ${toolCallId} is called done and never went out`);
    if (effect.state === 'intended') faults.push(`P3: nobody knows how ${tool} ${toolCallId} ended`);
    const approved = cards.find(
      ({ card, decision }) => card.kind === 'proposal' && (decision === 'approve' || decision === 'edit'),
    );
    const agreed = approved?.executedHash ?? approved?.argsHash;
    if (agreed !== effect.call.argsHash)
      faults.push(`P5: ${tool} ${toolCallId} was begun without an approval of what it does`);
    const text = (approved?.executedArgs ?? approved?.card.args)?.text;
    const sent = outside.sent.get(effect.providerKey);
    if (sent !== undefined && sent.text !== text)
      faults.push(`P5: ${sent.text} went out in place of ${text}`);
  }
  const keys = new Set(effects.map(({ providerKey }) => providerKey));
  for (const key of [...outside.mails.keys(), ...outside.orders.keys()])
    if (!keys.has(key)) faults.push('P3: something went out that the ledger does not know');
  for (const toolCallId of outside.notes.keys())
    if (!effects.some(({ call }) => call.toolCallId === toolCallId))
      faults.push(`P3: note ${toolCallId} is not in the ledger`);
  return faults;
}

/** Of each card one request and, once it is not pending any more, one end that says what the row says. */
function decisionsOnce({ database }: World): string[] {
  const rows = [...database.events.values()].flat();
  return [...database.cards.values()].flatMap((card) => {
    const faults: string[] = [];
    const ends = rows.flatMap(({ event }) =>
      event.type === 'approval-end' && event.data.approval_id === card.id ? [event.data] : [],
    );
    const asked = rows.filter(
      ({ event }) => event.type === 'approval-request' && event.data.approval.approval_id === card.id,
    ).length;
    if (asked !== 1) faults.push(`P4: card ${card.id} was asked ${asked} times`);
    if (ends.length !== (card.status === 'pending' ? 0 : 1))
      faults.push(`P4: card ${card.id} is ${card.status} and was ended ${ends.length} times`);
    for (const end of ends)
      if (end.status !== card.status || (end.decision ?? null) !== card.decision)
        faults.push(`P4: card ${card.id} is ${card.status} and was told ${end.status}`);
    return faults;
  });
}

/** Numbers ascend, runs do not interleave, each has one start and one end, each call at most one end. */
function journalInOrder({ database }: World): string[] {
  const faults: string[] = [];
  for (const rows of database.events.values()) {
    let last = 0;
    const ended = new Set<string>();
    let live: string | null = null;
    const calls = new Map<string, number>();
    for (const { seq, seqFrom, runId, event } of rows) {
      if (seqFrom <= last || seq < seqFrom) faults.push(`P7: number ${seqFrom} comes behind ${last}`);
      last = seq;
      if (event.type === 'run-start') {
        if (live !== null) faults.push(`P6: run ${runId} began while ${live} was live`);
        live = runId;
      } else if (runId !== null && runId !== live) {
        // What begins a run is told ahead of its start.
        const ahead = event.type === 'approval-end' || event.type === 'user-message';
        if (live !== null || !ahead)
          faults.push(`P6: run ${runId} wrote ${event.type} while ${live} was live`);
      }
      if (runId !== null && ended.has(runId))
        faults.push(`P6: run ${runId} wrote ${event.type} behind its end`);
      if (event.type === 'run-end') {
        ended.add(runId ?? '');
        live = null;
      }
      if (event.type === 'tool-end') {
        const id = event.data.tool_call_id;
        calls.set(id, (calls.get(id) ?? 0) + 1);
      }
    }
    if (live !== null) faults.push(`P2: run ${live} has no end`);
    for (const [id, count] of calls) if (count > 1) faults.push(`P7: call ${id} was ended ${count} times`);
  }
  return faults;
}

/** One number, or of text what stands in a row of numbers of one part. */
interface Told {
  seq: number;
  runId: string | null;
  type: EventType;
  what: string;
  part: string | null;
  delta: string;
}

function joined(all: readonly Told[]): Told[] {
  const result: Told[] = [];
  for (const one of all) {
    const before = result.at(-1);
    if (before !== undefined && one.part !== null && before.part === one.part) {
      before.delta += one.delta;
      before.seq = one.seq;
    } else result.push({ ...one });
  }
  return result;
}

function toldOf(seq: number, runId: string | null, type: EventType, data: object): Told {
  const { delta = null, call, part } = data as { delta?: string; call?: number; part?: number };
  return isDelta(type) && delta !== null
    ? { seq, runId, type, what: '', part: `${runId} ${type} ${call} ${part}`, delta }
    : { seq, runId, type, what: JSON.stringify(sorted(data)), part: null, delta: '' };
}

function storedBehind(rows: readonly StoredEvent[], from: number): Told[] {
  return joined(
    rows.flatMap((row) => {
      if (row.seq <= from) return [];
      const { event, runId, seq, seqFrom, marks } = row;
      if (!isDelta(event.type)) return [toldOf(seq, runId, event.type, event.data)];
      const { delta } = event.data as { delta: string };
      const cut = from < seqFrom ? 0 : (marks?.[from - seqFrom] ?? 0);
      return [toldOf(seq, runId, event.type, { ...event.data, delta: delta.slice(cut) })];
    }),
  );
}

/**
 * A reader heard what is stored behind its number, each once and in order. Beyond that it may have heard what a run told
 * that was lost before that was stored; never anything that one may act on.
 */
function suffixHeard({ database }: World, follower: Follower, index: number): string[] {
  const who = `P7: reader ${index} behind ${follower.from}`;
  const rows = database.events.get(follower.threadId) ?? [];
  const lost = new Set(
    rows.flatMap(({ event, runId }) =>
      event.type === 'run-end' && event.data.status === 'lost' ? [runId] : [],
    ),
  );
  const stored = storedBehind(rows, follower.from);
  const heard = joined(
    follower.heard.map((event) => toldOf(event.seq, event.run_id, event.type, event.data)),
  );
  let before = follower.from;
  for (const { seq } of follower.heard) {
    if (seq <= before) return [`${who} heard ${seq} behind ${before}`];
    before = seq;
  }
  let at = 0;
  for (const one of heard) {
    const want = stored[at];
    const same = want !== undefined && want.part === one.part && want.type === one.type;
    if (same && want.seq === one.seq && want.what === one.what && want.delta === one.delta) {
      at += 1;
      continue;
    }
    if (!lost.has(one.runId) || CRITICAL.includes(one.type))
      return [`${who} heard ${show(one)} in place of ${show(want)}`];
    // Of a lost run's last text more was told than stored.
    if (same && one.part !== null && one.seq > want.seq && one.delta.startsWith(want.delta)) at += 1;
    else if (rows.some(({ seq, seqFrom }) => seqFrom <= one.seq && one.seq <= seq))
      return [`${who} heard ${show(one)} in place of ${show(want)}`];
  }
  return at === stored.length ? [] : [`${who} never heard ${show(stored[at])}`];
}

function show(told: Told | undefined): string {
  return told === undefined ? 'nothing' : `${told.seq} ${told.type} ${told.what}${told.delta}`;
}

/** The messages as kept, as the journal tells them, and as each reader from the beginning has them. */
function storiesAgree({ database, threads, followers }: World): string[] {
  const faults: string[] = [];
  for (const threadId of threads) {
    const kept = [...database.messages.values()]
      .filter((message) => message.thread_id === threadId)
      .sort((one, other) => one.seq - other.seq);
    const journal = (database.events.get(threadId) ?? []).map(({ seq, event, turnId, runId, at }) => ({
      seq,
      type: event.type,
      turn_id: turnId,
      run_id: runId,
      at,
      data: event.data,
    }));
    const stories = followers.filter((one) => one.threadId === threadId && one.from === 0);
    for (const [who, events] of [
      ['the journal', journal] as const,
      ...stories.map((one, index) => [`reader ${index}`, one.heard] as const),
    ]) {
      const messages = storyOf(events);
      for (const message of kept) {
        const told = messages.find(({ id }) => id === message.id);
        if (shown(told) !== shown(message))
          faults.push(
            `P7: of message ${message.id} ${who} tells\n${shown(told)}\nand kept is\n${shown(message)}`,
          );
      }
    }
  }
  return faults;
}

function storyOf(events: readonly JournalEvent[]) {
  return events.map(asHeard).reduce(applyEvent, createConversationState()).messages;
}

/** As it comes over the wire. */
function asHeard({ seq, type, turn_id, run_id, at, data }: JournalEvent): ToldEvent {
  return JSON.parse(JSON.stringify({ seq, type, data: { turn_id, run_id, at, ...data } }));
}

function shown(message: Pick<Message, 'status' | 'content' | 'parts'> | { parts: unknown } | undefined) {
  if (message === undefined) return 'nothing';
  const { status, content, parts } = message as Message;
  return JSON.stringify(sorted({ status, content, parts }));
}
