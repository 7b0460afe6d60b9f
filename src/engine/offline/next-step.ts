/** The offline model's one decision: from the messages so far to the next answer. */

import type { Intent, Step } from './intent.ts';
import { notUnderstood } from './intents/about.ts';
import { intents as allIntents } from './intents/index.ts';
import { paragraphs } from './replies.ts';
import { type ChatRequest, readScene, type Scene } from './scene.ts';

/**
 * The next answer to a chat-completions request: words, or tool calls. A pure function of the messages, so a turn that
 * is taken over goes on where it was. It calls only tools that the request lists.
 */
export function nextStep(request: ChatRequest, intents: readonly Intent[] = allIntents): Step {
  const scene = readScene(request);
  const step = firstPlan(intents, scene);
  if (!step) return { text: notUnderstood(intents, scene) };
  if (!step.toolCalls) return step;
  const missing = step.toolCalls.find((call) => !scene.tools.has(call.name))?.name;
  const exhausted = budgetExhausted(scene);
  if (!missing && !exhausted) return step;
  return { text: paragraphs(step.text, exhausted ? spent(scene) : unavailable(missing ?? '', scene)) };
}

function firstPlan(intents: readonly Intent[], scene: Scene): Step | undefined {
  for (const intent of intents) {
    const step = intent.plan(scene);
    if (step) return step;
  }
  return undefined;
}

function budgetExhausted(scene: Scene): boolean {
  return scene.turn.exchanges.some(
    ({ outcome }) => outcome.status === 'error' && outcome.code === 'BUDGET_EXHAUSTED',
  );
}

function spent(scene: Scene): string {
  const sent = scene.outcomes('send_email').filter((outcome) => outcome.status === 'ok').length;
  const fact = sent === 0 ? 'Nothing was sent.' : `Emails handed over before that: ${sent}.`;
  return `The budget of this turn is used up, so I stop here. ${fact}`;
}

function unavailable(tool: string, scene: Scene): string {
  return scene.tools.size === 0
    ? 'I have no tools in this answer, so I cannot look that up or do it.'
    : `That needs the tool \`${tool}\`, which is not available here.`;
}
