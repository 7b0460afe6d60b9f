/** Lets the model sum up what has outgrown its window: a part at a time, each part once, kept for all later turns. */

import { ServiceError } from '../errors.ts';
import type { Past, StoredMessage, Summary, SummaryStore } from '../resources/turns/summaries.ts';
import type { Clock, LeasedTurn } from '../runtime/ports.ts';
import type { CallRun } from './gate.ts';
import { estimateTokens, type IsUntrusted, isOutgrown, isTainted, shorten, toPlain } from './history.ts';
import type { Model, ModelSink, PlainMessage } from './model.ts';
import type { Prompts } from './prompts.ts';

/** The prompt with the slots that are filled here (prompts.ts). */
export const SUMMARY_PROMPTS = { 'outreach/summary': ['most_words'] } as const;

/** What the prompt asks for, and what is taken at most. */
const MOST_WORDS = 350;
const MOST_CHARS = 8_000;
/** Room for models that think before they write. */
const OUTPUT_TOKENS = 4_000;
/** The user waits meanwhile. */
const SUMMARY_MS = 30_000;
/** What stays word for word. About as much again has to come before the next summary is due, so they are seldom. */
const KEPT_TOKENS = 12_000;
const KEPT_MESSAGES = 30;
/** What one call sums up. */
const PART_TOKENS = 16_000;
const PART_MESSAGES = 60;
const TEXT_CHARS = 4_000;
const TEXTS_CHARS = 16_000;
const CALL_CHARS = 1_000;
const CALLS_CHARS = 20_000;
/** After one try in vain so many messages have to come before the next. */
const RETRY_MESSAGES = 10;

export interface SummariesNeeds {
  model: Model;
  prompts: Prompts;
  store: SummaryStore;
  isUntrusted: IsUntrusted;
  after: Clock['after'];
  /** Told of a summary that could not be made. */
  report(error: unknown, turn: LeasedTurn): void;
}

export const SUMMARY_NOTICE = {
  code: 'SUMMARY_MADE',
  message:
    'The older part of this conversation was summarised for the model, which reads the summary in its place. You still see all of it.',
} as const;

export type Summaries = ReturnType<typeof createSummaries>;

export function createSummaries({ model, prompts, store, isUntrusted, after, report }: SummariesNeeds) {
  const prompt = prompts.get('outreach/summary');
  const rules = prompt.render({ most_words: String(MOST_WORDS) });

  /** Sums up the oldest part that outgrew the window, at most one part a call; null where there is none. */
  async function sumUp(run: CallRun, past: Past): Promise<Past | null> {
    const { turn } = run;
    const through = past.summary?.throughSeq ?? 0;
    const rows = await store.between(turn, through, firstKept(past.messages), PART_MESSAGES);
    const part = firstPart(rows);
    const last = part.at(-1);
    if (last === undefined) return null;
    const summary: Summary = {
      text: await ask(run, past.summary, part),
      throughSeq: last.seq,
      messages: (past.summary?.messages ?? 0) + part.length,
      tainted: past.summary?.tainted === true || part.some((message) => isTainted(message, isUntrusted)),
      turnId: turn.turnId,
    };
    await store.keep(turn, summary);
    return { ...without(past, part), summary, triedSeq: 0 };
  }

  /** From which message on all stays word for word; a turn is not split. */
  function firstKept(messages: readonly StoredMessage[]): number {
    let from = Number.MAX_SAFE_INTEGER;
    let tokens = 0;
    let count = 0;
    for (const turn of turnsOf(messages).reverse()) {
      tokens += estimateTokens(turn.flatMap((message) => toPlain(message, isUntrusted)));
      count += turn.length;
      const first = turn[0];
      if (first === undefined || (count > turn.length && (tokens > KEPT_TOKENS || count > KEPT_MESSAGES)))
        break;
      from = first.seq;
    }
    return from;
  }

  /** As many whole turns as one call can sum up, at least one. */
  function firstPart(rows: readonly StoredMessage[]): StoredMessage[] {
    const turns = turnsOf(rows);
    // The rest of the last one may not have been read.
    if (rows.length === PART_MESSAGES && turns.length > 1) turns.pop();
    const part: StoredMessage[] = [];
    let tokens = 0;
    for (const turn of turns) {
      tokens += estimateTokens(turn.flatMap(inShort));
      if (part.length > 0 && tokens > PART_TOKENS) break;
      part.push(...turn);
    }
    return part;
  }

  /** A message as it is summed up: its texts, calls and results, none of them long, and together not either. */
  function inShort(message: StoredMessage): PlainMessage[] {
    const plain = toPlain(message, isUntrusted);
    const calls = plain.filter((one) => one.role === 'tool').length;
    const callChars = Math.min(CALL_CHARS, Math.floor(CALLS_CHARS / Math.max(1, calls)));
    const textChars = Math.min(TEXT_CHARS, Math.floor(TEXTS_CHARS / (plain.length - calls)));
    const untrusted = isTainted(message, isUntrusted);
    return plain.map((one) => {
      if (one.role === 'tool') return { ...one, content: shorten(one.content, untrusted, callChars) };
      const content = one.content.length > textChars ? `${one.content.slice(0, textChars)}…` : one.content;
      if (one.role !== 'assistant' || one.tool_calls === undefined) return { ...one, content };
      const tool_calls = one.tool_calls.map(({ id, name, args }) => {
        const spelled = JSON.stringify(args);
        return { id, name, args: spelled.length > callChars ? spelled.slice(0, callChars) : args };
      });
      return { ...one, content, tool_calls };
    });
  }

  async function ask(run: CallRun, before: Summary | null, part: readonly StoredMessage[]): Promise<string> {
    const task = {
      task: SUMMARY_TASK,
      previous_summary:
        before?.tainted === true
          ? { __untrusted_third_party_content: true, content: before.text }
          : (before?.text ?? null),
      messages: part.flatMap(inShort),
    };
    const messages: PlainMessage[] = [
      { role: 'system', content: rules },
      { role: 'user', content: JSON.stringify(task).toWellFormed() },
    ];
    const late = new AbortController();
    const cancelTimer = after(SUMMARY_MS, () => {
      late.abort(new ServiceError('MODEL_TIMEOUT', `No summary came within ${SUMMARY_MS / 1000} seconds.`));
    });
    const { usage } = run.reply;
    usage.model_calls += 1;
    try {
      const answer = await model.call({
        messages,
        tools: NO_TOOLS,
        sink: boundedSink(),
        signal: AbortSignal.any([run.signal, late.signal]),
        maxOutputTokens: OUTPUT_TOKENS,
        ...(prompt.temperature === undefined ? {} : { temperature: prompt.temperature }),
        ...(prompt.model === undefined ? {} : { model: prompt.model }),
      });
      usage.input_tokens += answer.usage.inputTokens;
      usage.output_tokens += answer.usage.outputTokens;
      const text = answer.content.trim();
      if (answer.finishReason !== 'stop' || answer.toolCalls.length > 0 || text === '') {
        throw new ServiceError('MODEL_STREAM_BROKEN', 'The model gave no whole summary.');
      }
      return text;
    } finally {
      cancelTimer();
    }
  }

  return {
    /**
     * The past as the model shall be shown it. Where it has outgrown the window, and the turn is at its beginning, the
     * older part is summed up first; where that fails, the past is given as it was. Throws only when the run is over.
     */
    async recall(run: CallRun, past: Past, beginning: boolean): Promise<Past> {
      let recalled = past;
      const newest = past.messages.at(-1)?.seq ?? 0;
      const since = past.messages.filter((message) => message.seq > past.triedSeq).length;
      if (
        beginning &&
        since >= Math.min(RETRY_MESSAGES, past.messages.length) &&
        isOutgrown(past, isUntrusted)
      ) {
        try {
          recalled = (await sumUp(run, past)) ?? past;
        } catch (error) {
          if (run.signal.aborted) throw error;
          report(error, run.turn);
          await store.tried(run.turn, newest).catch((fault) => report(fault, run.turn));
        }
      }
      // Told by what is kept, so that a run which goes on from a lost one tells it too.
      const isNew = recalled.summary?.turnId === run.turn.turnId;
      if (
        isNew &&
        !run.reply.parts.some((part) => part.type === 'notice' && part.code === SUMMARY_NOTICE.code)
      ) {
        run.reply.notice(SUMMARY_NOTICE.code, SUMMARY_NOTICE.message);
      }
      return recalled;
    },
  };
}

/** How the offline model knows what it is asked for. */
export const SUMMARY_TASK = 'summarise';

const NO_TOOLS: [] = [];

/** Nobody hears a summary as it comes; one that does not end is cut off. */
function boundedSink(): ModelSink {
  let length = 0;
  return {
    text(delta) {
      length += delta.length;
      if (length > MOST_CHARS) throw new ServiceError('MODEL_STREAM_BROKEN', 'The summary became too long.');
    },
    reasoning() {},
    toolStart() {},
    toolArgs() {},
  };
}

/** The past after its oldest `part` went into a summary. */
function without(past: Past, part: readonly StoredMessage[]): Past {
  const through = part.at(-1)?.seq ?? 0;
  const read = past.messages[0]?.seq ?? 0;
  const closed = part.filter((message) => message.seq < read).length;
  const messages = past.gap.messages - closed;
  return {
    ...past,
    gap: { messages, tainted: messages > 0 && past.gap.tainted },
    messages: past.messages.filter((message) => message.seq > through),
  };
}

/** Messages by their turns, both in their order. */
function turnsOf(messages: readonly StoredMessage[]): StoredMessage[][] {
  const turns: StoredMessage[][] = [];
  for (const message of messages) {
    const turn = turns.at(-1);
    if (turn?.[0]?.turn_id === message.turn_id) turn?.push(message);
    else turns.push([message]);
  }
  return turns;
}
