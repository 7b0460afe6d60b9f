/** The personalize graph: research → find_commonalities → write_email → check, with one second draft where check finds faults. */

import { END, RunControl, START, StateGraph } from '@langchain/langgraph';
import type { Prompts } from '../../src/engine/prompts.ts';
import type {
  LeadFields,
  Personalize,
  PersonalizeInput,
  PromptSource,
} from '../../src/resources/personalization/ports.ts';
import { createNodes, factsOf } from './nodes.ts';
import { PersonalizeState } from './state.ts';
import type { Writer } from './writer.ts';

/** The prompts of this graph with the slots that it fills (engine/prompts.ts). */
export const PERSONALIZE_PROMPTS = {
  'personalize/default': [],
  'personalize/find_commonalities': [],
  'personalize/write_email': ['guidance'],
} as const satisfies Record<string, readonly string[]>;

export interface PersonalizeNeeds {
  writer: Writer;
  prompts: Prompts;
}

/**
 * Makes what writes mails. `write` answers the draft with what `check` still finds wrong after a second try (`checks`,
 * empty where nothing is); it throws the model's errors, and the signal's reason when that aborts.
 */
export function createPersonalize({ writer, prompts }: PersonalizeNeeds): Personalize {
  const defaultPrompt = prompts.get('personalize/default').render({});
  const nodes = createNodes({ writer });
  const graph = new StateGraph(PersonalizeState)
    .addNode('research', nodes.research)
    .addNode('find_commonalities', nodes.findCommonalities)
    .addNode('write_email', nodes.writeEmail)
    .addNode('check', nodes.check)
    .addEdge(START, 'research')
    .addEdge('research', 'find_commonalities')
    .addEdge('find_commonalities', 'write_email')
    .addEdge('write_email', 'check')
    .addConditionalEdges('check', (state) => (nodes.isDone(state) ? END : 'write_email'))
    // It costs a few model calls and keeps nothing; run inside another graph it must not write into that one's checkpoints.
    .compile({ checkpointer: false });

  return {
    defaultPrompt,
    async write(input) {
      const { custom_prompt, prompts: _named, ...sender } = input.sender;
      const { guidance, promptSource } = guidanceOf(input, custom_prompt, defaultPrompt);
      const state = await graph.invoke(
        {
          lead: rowOf(input.lead),
          sender: factsOf(sender),
          instructions: input.instructions ?? '',
          template: input.template ?? null,
          guidance,
        },
        {
          configurable: { spent: input.spent },
          signal: input.signal,
          // Its own control: a process that drains lets a mail that has begun come to its end.
          control: new RunControl(),
        },
      );
      const { draft, commonality, facts, faults, usage } = state;
      return {
        subject: draft.subject,
        body: draft.body,
        commonality,
        checks: faults,
        fields: Object.keys(facts),
        modelUsed: writer.name,
        promptSource,
        prompt: guidance,
        usage,
      };
    },
  };
}

/** Which prompt wins: the request's, the sender's own, the default (contract, x-policies.prompt_resolution). */
function guidanceOf(
  { customPrompt }: PersonalizeInput,
  sendersOwn: unknown,
  defaultPrompt: string,
): { guidance: string; promptSource: PromptSource } {
  if (customPrompt !== undefined) return { guidance: customPrompt, promptSource: 'override' };
  if (typeof sendersOwn === 'string' && sendersOwn.trim() !== '') {
    return { guidance: sendersOwn, promptSource: 'custom_prompt' };
  }
  return { guidance: defaultPrompt, promptSource: 'default' };
}

/** One row: the known columns win over further ones of the same name. */
function rowOf({ data, ...columns }: LeadFields): Record<string, unknown> {
  return {
    ...columns,
    ...data,
    ...Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== null)),
  };
}
