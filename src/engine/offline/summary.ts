/** The offline model's summary of older messages: what was asked, which tools ran and how they ended, in order. */

import { SUMMARY_TASK } from '../summaries.ts';
import type { Step } from './intent.ts';
import {
  asRow,
  type ChatRequest,
  parseJson,
  plainText,
  readTurns,
  rowsAt,
  type Turn,
  textAt,
} from './scene.ts';

/** Older lines make room for newer ones. */
const MOST_LINES = 60;
const MOST_WORDS_OF_A_REQUEST = 160;
const HEAD = 'What was asked and done earlier, oldest first:';

/** The summary, where the request asks for one (summaries.ts) and offers no tools. */
export function summaryStep(request: ChatRequest): Step | undefined {
  const last = request.messages.at(-1);
  if ((request.tools ?? []).length > 0 || last?.role !== 'user') return undefined;
  const task = asRow(parseJson(plainText(last.content)));
  if (task.task !== SUMMARY_TASK) return undefined;
  const before = task.previous_summary;
  const previous = typeof before === 'string' ? before : textAt(asRow(before), 'content');
  const lines = [
    ...previous.split('\n').filter((line) => line.startsWith('- ')),
    ...readTurns(rowsAt(task, 'messages').map(toChatMessage)).map(lineOf),
  ];
  return { text: [HEAD, ...lines.slice(-MOST_LINES)].join('\n') };
}

function lineOf({ raw, exchanges }: Turn): string {
  const words = raw.replaceAll(/\s+/g, ' ').trim();
  const asked =
    words.length > MOST_WORDS_OF_A_REQUEST ? `${words.slice(0, MOST_WORDS_OF_A_REQUEST)}…` : words;
  const done = exchanges.map(({ name, outcome }) =>
    outcome.status === 'ok' ? name : `${name} (${outcome.status === 'error' ? outcome.code : outcome.how})`,
  );
  return `- “${asked}”${done.length === 0 ? '' : `: ${done.join(', ')}`}`;
}

/** The task tells calls by name and arguments; the protocol wraps them. */
function toChatMessage(row: ReturnType<typeof asRow>): ChatRequest['messages'][number] {
  return {
    role: textAt(row, 'role'),
    content: textAt(row, 'content'),
    tool_call_id: textAt(row, 'tool_call_id'),
    tool_calls: rowsAt(row, 'tool_calls').map((call) => ({
      id: textAt(call, 'id'),
      function: { name: textAt(call, 'name'), arguments: JSON.stringify(call.args ?? {}) },
    })),
  };
}
