/** What the personalize graph carries from node to node: plain data. */

import { Annotation } from '@langchain/langgraph';
import type { PersonalizeResult, TemplateText } from '../../src/resources/personalization/ports.ts';

/** Fields that are filled, by their names; values are text. */
export type Facts = Readonly<Record<string, string>>;

/** Something the mail could build on, and the words of the lead's field that say so. */
export interface Commonality {
  text: string;
  field: string;
  /** Word for word from the field. */
  quote: string;
}

/** Where a statement about the lead stands: `quote` is word for word in the mail and in the field. */
export interface Claim {
  field: string;
  quote: string;
}

export interface Draft {
  subject: string;
  body: string;
  claims: Claim[];
}

export type PersonalizeUsage = PersonalizeResult['usage'];

export const NO_TOKENS: PersonalizeUsage = { input_tokens: 0, output_tokens: 0, model_calls: 0 };

export const PersonalizeState = Annotation.Root({
  lead: Annotation<Record<string, unknown>>(),
  sender: Annotation<Facts>(),
  instructions: Annotation<string>(),
  template: Annotation<TemplateText | null>(),
  /** How the mail is to be written. */
  guidance: Annotation<string>(),
  facts: Annotation<Facts>(),
  commonality: Annotation<Commonality | null>(),
  draft: Annotation<Draft>(),
  /** What the last check found wrong. */
  faults: Annotation<string[]>({ reducer: (_before, now) => now, default: () => [] }),
  drafts: Annotation<number>({ reducer: (before, more) => before + more, default: () => 0 }),
  usage: Annotation<PersonalizeUsage>({
    reducer: (before, more) => ({
      input_tokens: before.input_tokens + more.input_tokens,
      output_tokens: before.output_tokens + more.output_tokens,
      model_calls: before.model_calls + more.model_calls,
    }),
    default: () => NO_TOKENS,
  }),
});

export type PersonalizeStateValues = typeof PersonalizeState.State;
