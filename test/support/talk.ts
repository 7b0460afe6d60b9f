/** What the scripted model says in which turn: told by the user's words, so that turns may go on at once, and again. */

import type { ChatRequest, RecordedCall, Scripted, ScriptedModel } from './scripted-model.ts';

export interface Talk {
  /**
   * The answers in the turn that these words begin, one for each step: the first to the words, the next when the first
   * one's calls are answered … A call of the model that is made again, after a crash, gets the same answer again.
   */
  plan(words: string, answers: readonly Scripted[]): void;
  /** What the model was asked in turns that began with these words. */
  requests(words: string): ChatRequest[];
  /** What the model was told of the calls of the step before, in the last request of such a turn: name → result. */
  results(words: string): { name: string; content: string }[];
}

/** Makes the model answer by plan; a turn that has none is refused. */
export function createTalk(model: ScriptedModel): Talk {
  const plans = new Map<string, readonly Scripted[]>();
  model.otherwise((request) => {
    const words = wordsOf(request);
    const answer = plans.get(words)?.[stepOf(request)];
    if (answer === undefined)
      return { status: 400, body: JSON.stringify({ error: `no plan for: ${words}` }) };
    return typeof answer === 'function' ? answer(request) : answer;
  });
  const requests = (words: string) =>
    model.calls.filter((call) => wordsOf(call.request) === words).map((call: RecordedCall) => call.request);
  return {
    plan: (words, answers) => void plans.set(words, answers),
    requests,
    results(words) {
      const messages = requests(words).at(-1)?.messages ?? [];
      const asked = messages.findLastIndex((message) => message.role === 'assistant');
      const names = new Map(messages[asked]?.tool_calls?.map((call) => [call.id, call.function.name]));
      return messages
        .slice(asked + 1)
        .filter((message) => message.role === 'tool')
        .map((message) => ({
          name: names.get(message.tool_call_id ?? '') ?? '',
          content: message.content ?? '',
        }));
    },
  };
}

function wordsOf(request: ChatRequest): string {
  return request.messages.findLast((message) => message.role === 'user')?.content ?? '';
}

/** How often the model has answered in this turn. */
function stepOf(request: ChatRequest): number {
  const since = request.messages.findLastIndex((message) => message.role === 'user');
  return request.messages.slice(since).filter((message) => message.role === 'assistant').length;
}
