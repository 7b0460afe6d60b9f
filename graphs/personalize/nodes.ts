/** The steps of personalizing, each a small function of the state. */

import { visibleText } from '../../src/resources/leads/visible-text.ts';
import { checkDraft, supports } from './check.ts';
import type { Facts, PersonalizeStateValues } from './state.ts';
import type { Writer, WriterBrief } from './writer.ts';

type State = PersonalizeStateValues;
type Update = Partial<State>;
interface Config {
  signal?: AbortSignal;
  configurable?: { spent?: WriterBrief['spent'] };
}

/** Bounds of what a writer is given of one row. */
const FIELDS = 60;
const VALUE_LENGTH = 2000;
/** A draft with faults is written once more. */
const MAX_DRAFTS = 2;

export function createNodes({ writer }: { writer: Writer }) {
  return {
    /** Gathers what is known: the filled fields of the lead's row. */
    research: (state: State): Update => ({ facts: factsOf(state.lead) }),

    /** Keeps the first commonality that the field it cites supports. */
    async findCommonalities(state: State, config: Config): Promise<Update> {
      const { facts, sender } = state;
      const { commonalities, usage } = await writer.findCommonalities({
        facts,
        sender,
        signal: signalOf(config),
        spent: config.configurable?.spent,
      });
      const commonality = commonalities.find((one) => supports(one, facts, sender)) ?? null;
      return { commonality, usage };
    },

    async writeEmail(state: State, config: Config): Promise<Update> {
      const { draft, usage } = await writer.writeEmail({
        ...state,
        signal: signalOf(config),
        spent: config.configurable?.spent,
      });
      return { draft, usage, drafts: 1 };
    },

    check(state: State): Update {
      const { draft, facts, sender, template, instructions, guidance } = state;
      return {
        faults: checkDraft({ draft, facts, sender, template, words: `${instructions}\n${guidance}` }),
      };
    },

    /** Whether the draft goes back to the writer. */
    isDone: (state: State): boolean => state.faults.length === 0 || state.drafts >= MAX_DRAFTS,
  };
}

/** The filled fields of a row as a person would see them, in its order; only text, numbers and yes or no. */
export function factsOf(row: Readonly<Record<string, unknown>>): Facts {
  const facts: Record<string, string> = {};
  for (const [field, value] of Object.entries(row)) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) continue;
    const text = visibleText(String(value), VALUE_LENGTH);
    if (text !== '' && field.length <= 100) facts[field] = text;
    if (Object.keys(facts).length === FIELDS) break;
  }
  return facts;
}

function signalOf({ signal }: Config): AbortSignal {
  // A run of the graph always has one; without it there is nothing to abort.
  return signal ?? new AbortController().signal;
}
