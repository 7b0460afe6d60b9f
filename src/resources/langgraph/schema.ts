/** What LangGraph's clients send: of it only the new words and the decisions are taken. */

import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { type Approval, DECISIONS } from '../../runtime/events.ts';
import { ASSISTANT_ID, GRAPH, interruptId } from '../../wire/langgraph.ts';
import { STREAM_MODES, type StreamMode } from '../../wire/langgraph-v1.ts';
import { argsHash, args as editedArgs, reason } from '../approvals/schema.ts';
import type { CardAnswer } from '../chat/answers.ts';
import { doorParams } from '../external-threads/door.ts';
import { externalId } from '../external-threads/external-threads.ts';
import { faulty, HISTORY_LENGTH, type NewWords, readWords } from '../external-threads/words.ts';

export const threadParams = doorParams;
export const runParams = z.object({ thread_id: externalId, run_id: z.uuid() });

const strategy = z.enum(['reject', 'rollback', 'interrupt', 'enqueue']).nullish();

/** One mode, or several. */
export const streamModes = z.union([z.string(), z.array(z.string())]).nullish();

/** What would change what a run does, and is not served: to say nothing would be to promise it. */
const unserved = z
  .union([z.null(), z.array(z.never()).max(0)], 'This is not served: leave it out.')
  .optional();

export const runBody = z.looseObject({
  assistant_id: z.string(),
  input: z.unknown().optional(),
  command: z
    .looseObject({ resume: z.unknown().optional(), goto: z.unknown().optional(), update: unserved })
    .nullish(),
  stream_mode: streamModes,
  multitask_strategy: strategy,
  if_not_exists: z.enum(['reject', 'create']).nullish(),
  interrupt_before: unserved,
  interrupt_after: unserved,
  after_seconds: unserved,
  webhook: unserved,
});
export type RunBody = z.output<typeof runBody>;

export const createThreadBody = z.looseObject({
  thread_id: externalId.nullish(),
  if_exists: z.enum(['raise', 'do_nothing']).nullish(),
});

export const searchThreadsBody = z.looseObject({
  metadata: z.record(z.string(), z.unknown()).nullish(),
  limit: z.int().min(1).default(10).transform(atMost100),
  offset: z.int().min(0).max(100_000).default(0),
  status: z.enum(['idle', 'busy', 'interrupted', 'error']).nullish(),
  sort_by: z.literal('updated_at', 'Threads are sorted by updated_at.').nullish(),
  sort_order: z.literal('desc', 'The last changed thread comes first.').nullish(),
  ids: unserved,
  values: unserved,
  extract: unserved,
});

/** Clients ask for more than a page. */
function atMost100(limit: number): number {
  return Math.min(limit, 100);
}

export const streamQuery = z.looseObject({ stream_mode: streamModes });
export const runsQuery = z.looseObject({
  limit: z.coerce.number().int().min(1).default(10).transform(atMost100),
  offset: z.coerce.number().int().min(0).max(100_000).default(0),
  status: z.enum(['pending', 'running', 'error', 'success', 'timeout', 'interrupted']).optional(),
});
export const cancelQuery = z.looseObject({ wait: z.string().optional() });

export const commandBody = z.looseObject({
  id: z.int().nullish(),
  method: z.string(),
  params: z.looseObject({}).default({}),
});

export const runStartParams = z.looseObject({
  assistant_id: z.string().optional(),
  input: z.unknown().optional(),
  multitaskStrategy: strategy,
  multitask_strategy: strategy,
});

export const respondParams = z.looseObject({
  interrupt_id: z.string().optional(),
  response: z.unknown().optional(),
  responses: z
    .array(z.looseObject({ interrupt_id: z.string(), response: z.unknown() }))
    .max(50)
    .optional(),
  update: unserved,
  goto: unserved,
});

export const eventsBody = z.looseObject({
  channels: z.array(z.string()).min(1).max(50),
  namespaces: z.array(z.array(z.string())).optional(),
  since: z.int().min(0).optional(),
});

/** The modes that were asked for. Throws `VALIDATION_ERROR` for one that is not served. */
export function modesOf(asked: z.output<typeof streamModes>): Set<StreamMode> {
  const names = asked == null ? ['values'] : typeof asked === 'string' ? namesIn(asked) : asked;
  const unknown = names.find((name) => !STREAM_MODES.some((mode) => mode === name));
  if (unknown === undefined) return new Set(STREAM_MODES.filter((mode) => names.includes(mode)));
  throw faulty(
    ['stream_mode'],
    `The stream mode ${unknown.slice(0, 50)} is not served: ask for ${STREAM_MODES.join(', ')}.`,
  );
}

/** Several modes in one parameter of a query; version 2 of the SDK writes them as JSON. */
function namesIn(text: string): string[] {
  return text.replaceAll(/[[\]"\s]/g, '').split(',');
}

/** Throws `NOT_FOUND` where another assistant is named than the one there is. */
export function requireAssistant(name: string | undefined): void {
  if (name === undefined || ASSISTANTS.includes(name)) return;
  throw new ServiceError('NOT_FOUND', `There is no assistant ${name.slice(0, 100)}. Use "${GRAPH}".`);
}

/** What the assistant may be called: "agent" is what most clients are set to. */
export const ASSISTANTS = [GRAPH, 'agent', ASSISTANT_ID];

const message = z.union([
  z.string().transform((text) => ({ role: 'human', id: undefined, content: text })),
  z
    .looseObject({
      type: z.string().optional(),
      role: z.string().optional(),
      id: z.string().nullish(),
      content: z.unknown(),
      kwargs: z.looseObject({}).optional(),
    })
    .transform(({ type, role, id, content, kwargs }) => ({
      role: role ?? type ?? 'human',
      id: id ?? (typeof kwargs?.id === 'string' ? kwargs.id : undefined),
      content: content ?? kwargs?.content,
    })),
]);
const input = z.union([
  z.string().transform((text) => [{ role: 'human', id: undefined, content: text as unknown }]),
  z
    .looseObject({
      messages: z.union([z.array(message).max(HISTORY_LENGTH), message.transform((one) => [one])]),
    })
    .transform((one) => one.messages),
]);

/** The user's words at the end of an input. Throws `VALIDATION_ERROR` where there are none, or they are no text. */
export function wordsOf(sent: unknown): NewWords {
  const messages = input.safeParse(sent);
  const last = messages.success ? messages.data.at(-1) : undefined;
  if (last === undefined || !['human', 'user'].includes(last.role)) {
    throw faulty(['input', 'messages'], 'An input ends with a message of the user.');
  }
  return readWords(last, ['input', 'messages']);
}

const action = z.looseObject({ args: editedArgs });
const decision = z.looseObject({
  type: z.enum(DECISIONS),
  editedAction: action.optional(),
  edited_action: action.optional(),
  message: reason.nullable(),
  args_hash: argsHash.optional(),
});
const decisions = z.looseObject({ decisions: z.array(decision).min(1).max(50) });
const answer = z.union([
  decisions.transform((one) => one.decisions),
  decision.transform((one) => [one]),
  z.boolean().transform((yes) => [decision.parse({ type: yes ? 'approve' : 'reject' })]),
]);

/**
 * The answers in a resume, which is one for all that waits, or a map from interrupt ids. Strict in any case: an answer
 * that does not fit what waits is refused. Throws `NOTHING_PENDING` or `VALIDATION_ERROR`.
 */
export function answersOf(resume: unknown, pending: readonly Approval[]): CardAnswer[] {
  const bare = answer.safeParse(resume);
  if (bare.success) return answersTo(pending, bare.data);
  const map = z.record(z.string(), answer).safeParse(resume);
  if (!map.success || Object.keys(map.data).length === 0) {
    throw faulty(
      ['command', 'resume'],
      'Answer with {"decisions": [{"type": "approve" | "edit" | "reject", …}]}, one for each action, or a map from interrupt ids to that.',
    );
  }
  return Object.entries(map.data).flatMap(([id, given]) => answersTo(cardsOf(id, pending), given));
}

/** The cards that an interrupt stands for; all of them must still wait. */
function cardsOf(id: string, pending: readonly Approval[]): Approval[] {
  const cards = pending.filter((approval) => id.split('.').includes(approval.approval_id));
  if (cards.length > 0 && interruptId(cards.map((card) => card.approval_id)) === id) return cards;
  throw new ServiceError(
    'NOTHING_PENDING',
    'This interrupt does not wait any more, or not as it was shown. Read the thread again.',
    { facts: { approvals: pending } },
  );
}

function answersTo(cards: readonly Approval[], given: z.output<typeof decision>[]): CardAnswer[] {
  if (cards.length === 0)
    throw new ServiceError('NOTHING_PENDING', 'Nothing waits for a decision in this thread.');
  if (cards.length !== given.length) {
    throw faulty(
      ['command', 'resume', 'decisions'],
      `${cards.length} decisions are needed, one for each action.`,
    );
  }
  return cards.map((card, index): CardAnswer => {
    const {
      type,
      editedAction,
      edited_action,
      message: words,
      args_hash,
    } = given[index] ?? { type: 'reject' };
    const edited = editedAction ?? edited_action;
    if (type === 'edit' && edited === undefined) {
      throw faulty(['command', 'resume', 'decisions', index], 'An edit needs the edited action.');
    }
    return {
      approvalId: card.approval_id,
      decision: type,
      reason: words ?? undefined,
      ...(type === 'edit' ? { args: edited?.args, argsHash: args_hash } : {}),
    };
  });
}
