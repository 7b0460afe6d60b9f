/** What the contract suites of a turn's ports share: turns, rows, cards and settlements to put through them. */

import { v7 } from 'uuid';
import type { NewEvent, Part } from '../../src/runtime/events.ts';
import { type Approval, NO_USAGE } from '../../src/runtime/events.ts';
import type {
  AcceptRequest,
  LeasedTurn,
  RunBatch,
  Settlement,
  StoredEvent,
} from '../../src/runtime/ports.ts';
import { applyEvent, contentOf } from '../../src/runtime/reply.ts';
import type { TurnPorts } from '../support/turn-ports.ts';

/** A message as a request brings it. */
export function requestOf(ports: TurnPorts, changes: Partial<AcceptRequest> = {}): AcceptRequest {
  return {
    caller: ports.caller,
    threadId: null,
    input: { message: 'Hello' },
    clientMessageId: null,
    supersede: false,
    idempotency: null,
    ...changes,
  };
}

/** Begins a turn, in a conversation of its own unless one is named. */
export async function beginTurn(
  ports: TurnPorts,
  changes: Partial<AcceptRequest> = {},
): Promise<{ turn: LeasedTurn; events: StoredEvent[]; closed: boolean }> {
  const accepted = await ports.turns.accept(requestOf(ports, changes));
  if (accepted.kind !== 'new') throw new Error('a new turn was expected');
  return accepted;
}

/** Numbers an event as the owner of the run does. */
export function numbered(turn: LeasedTurn, event: NewEvent): StoredEvent {
  const seq = turn.nextSeq;
  turn.nextSeq += 1;
  return {
    seq,
    seqFrom: seq,
    marks: null,
    turnId: turn.turnId,
    runId: turn.runId,
    at: '2026-11-21T10:00:00.000Z',
    event,
  };
}

export function notice(words: string): NewEvent {
  return { type: 'notice', data: { code: 'TEST', message: words } };
}

export function batchOf(turn: LeasedTurn, rows: StoredEvent[], inboxIds: string[] = []): RunBatch {
  return { turnId: turn.turnId, threadId: turn.threadId, epoch: turn.epoch, rows, inboxIds };
}

/** A card that asks for a decision on a call of this turn. */
export function cardFor(turn: LeasedTurn, toolCallId: string, changes: Partial<Approval> = {}): Approval {
  return {
    approval_id: v7(),
    thread_id: turn.threadId,
    turn_id: turn.turnId,
    tool_call_id: toolCallId,
    tool: 'send_email',
    kind: 'proposal',
    title: 'Send a mail',
    reason: 'Mail that has left cannot be taken back.',
    args: { to: 'a@example.com' },
    args_hash: 'a'.repeat(64),
    args_schema: {},
    facts: [],
    warnings: [],
    preview: [],
    consequence: 'It is sent.',
    allowed_decisions: ['approve', 'edit', 'reject'],
    status: 'pending',
    created_at: '2026-11-21T10:00:00.000Z',
    expires_at: '2026-11-21T12:00:00.000Z',
    ...changes,
  };
}

export function toolStart(turn: LeasedTurn, toolCallId: string): NewEvent {
  return {
    type: 'tool-start',
    data: { message_id: turn.messageId, call: 1, part: 0, tool_call_id: toolCallId, name: 'send_email' },
  };
}

/** The end of a run with this status: `told` and the run-end are its last rows. */
export function settlementOf(
  turn: LeasedTurn,
  status: Settlement['status'],
  { told = [], approvals = [], parts = [], inboxIds = [] }: SettlementParts = {},
): Settlement {
  const requests: NewEvent[] = approvals.map((approval) => ({
    type: 'approval-request',
    data: { approval },
  }));
  const end: NewEvent = {
    type: 'run-end',
    data: { status, message_id: turn.messageId, usage: NO_USAGE },
  };
  const kept = [...told, ...requests].reduce<Part[]>(applyEvent, parts);
  return {
    status,
    message: {
      status: status === 'completed' ? 'complete' : 'partial',
      parts: kept,
      content: contentOf(kept),
      metadata: {},
    },
    rows: [...told, ...requests, end].map((event) => numbered(turn, event)),
    inboxIds,
    approvals,
    usage: NO_USAGE,
    tainted: false,
    error: null,
  };
}

interface SettlementParts {
  told?: NewEvent[];
  approvals?: Approval[];
  parts?: Part[];
  inboxIds?: string[];
}

/** Lets a turn wait for a decision on each of these calls; answers the cards. */
export async function letWait(
  ports: TurnPorts,
  turn: LeasedTurn,
  toolCallIds: readonly string[],
): Promise<Approval[]> {
  const approvals = toolCallIds.map((id) => cardFor(turn, id));
  const told = toolCallIds.map((id) => toolStart(turn, id));
  const settled = await ports.turns.settle(
    turn,
    settlementOf(turn, 'awaiting_approval', { told, approvals }),
  );
  if (settled !== 'settled') throw new Error(`it was not settled: ${settled}`);
  return approvals;
}

/** Takes over the one turn whose lease ran out. */
export async function takeOver(
  ports: TurnPorts,
  turnId: string,
): Promise<{ turn: LeasedTurn; events: StoredEvent[] }> {
  await ports.lapse(turnId);
  const taken = (await ports.turns.takeOver(10)).find(({ turn }) => turn.turnId === turnId);
  if (taken === undefined) throw new Error('it was not taken over');
  return taken;
}

/** Everything the conversation ever told. */
export function journalOf(ports: TurnPorts, threadId: string): Promise<StoredEvent[]> {
  return ports.journal.read({ workspaceId: ports.caller.workspaceId, threadId }, 0, null, 1000);
}

export const typesOf = (rows: readonly StoredEvent[]): string[] => rows.map((row) => row.event.type);
