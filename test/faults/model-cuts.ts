/** A model's answer that is cut at any byte of its text or of a call's arguments: never whole, never carried out. */

import { afterAll, beforeAll } from 'vitest';
import { endOf, lastAnswer, say } from '../support/mailing.ts';
import { proves } from '../support/proves.ts';
import { deltaEvent, type Fault } from '../support/scripted-model.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';
import { oddHistory, textOf } from './oracle.ts';

const TEXT = 'I put it on the list: nobody writes to that address any more.';
const ARGUMENTS = '{"email":"cut@example.com","reason":"they asked for it"}';
const FAULTS: readonly Fault[] = ['close', 'end', 'reset'];

/** Everything before the reason for which it finished; what comes after that may be missing. */
const ANSWER = [
  deltaEvent({ role: 'assistant', content: '' }),
  ...(TEXT.match(/.{1,9}/g) ?? []).map((content) => deltaEvent({ content })),
  deltaEvent({
    tool_calls: [
      { index: 0, id: 'call_1', type: 'function', function: { name: 'suppress_email', arguments: '' } },
    ],
  }),
  ...(ARGUMENTS.match(/.{1,7}/g) ?? []).map((piece) =>
    deltaEvent({ tool_calls: [{ index: 0, function: { arguments: piece } }] }),
  ),
].join('');

export function provesModelCuts({ offsets }: { offsets: number }): void {
  let stage: Stage;
  let service: ServiceHere;
  beforeAll(async () => {
    stage = await openStage();
    service = await stage.start();
  });
  afterAll(() => stage.close());

  proves('P9', 'an answer that is cut in its text or in a call, at any byte', offsets, async (tally) => {
    stage.model.otherwise('Here I am.');
    const { threadId } = await say(service.client, 'Hello');
    const cuts = Array.from({ length: offsets }, (_, index) =>
      Math.ceil(((index + 1) * ANSWER.length) / offsets),
    );
    await tally.each(cuts.entries(), 1, async ([index, cutAfter]) => {
      const faults: string[] = [];
      // Before the first token the request may be made again; then it gets the same.
      stage.model.otherwise({ raw: [ANSWER], cutAfter, fault: FAULTS[index % FAULTS.length] ?? 'close' });
      const { events } = await say(service.client, `Cut at ${cutAfter}`, { thread_id: threadId });
      const asked = stage.model.calls.at(-1)?.request;
      if (asked !== undefined) faults.push(...oddHistory(asked));
      const at = `cut at ${cutAfter}:`;
      if (endOf(events) !== 'failed') faults.push(`${at} it ended ${endOf(events)}`);
      const kept = await lastAnswer(service.client, threadId);
      if (kept.status !== 'partial' || !TEXT.startsWith(kept.content))
        faults.push(`${at} kept is ${kept.status} ${JSON.stringify(kept.content)}`);
      if (textOf(events) !== kept.content)
        faults.push(`${at} the reader saw ${JSON.stringify(textOf(events))}`);
      if (kept.parts.some((part) => part.type === 'tool' && part.status !== 'error'))
        faults.push(`${at} a call is not told as failed`);
      return faults;
    });
    stage.model.otherwise('Whole again.');
    const { events } = await say(service.client, 'And now?', { thread_id: threadId });
    const last = stage.model.calls.at(-1)?.request;
    const effects = await stage.database.query('select 1 from effects');
    tally
      .also('P9', 'the message after all of them works, and nothing was carried out')
      .count([
        ...(endOf(events) === 'completed' ? [] : [`the message after it ended ${endOf(events)}`]),
        ...(last === undefined ? ['the model was not asked'] : oddHistory(last)),
        ...(effects.length === 0 ? [] : [`${effects.length} effects`]),
      ]);
  });
}
