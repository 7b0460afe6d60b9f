/** Builds what the model is shown before a turn's own messages: rules, history, the page, and the user's words. */

import type { Past } from '../resources/turns/summaries.ts';
import type { LeasedTurn } from '../runtime/ports.ts';
import { buildHistory, type IsUntrusted } from './history.ts';
import type { PlainMessage } from './model.ts';
import type { Prompts } from './prompts.ts';
import type { TurnContext } from './runner.ts';
import type { Summaries } from './summaries.ts';

/** The prompt of the chat agent with the slots that are filled here (prompts.ts). */
export const OUTREACH_PROMPTS = { 'outreach/system': ['today', 'workspace_name', 'sandbox_note'] } as const;

export interface ContextNeeds {
  read(turn: LeasedTurn): Promise<{
    workspaceName: string;
    autoSpendCredits: number;
    approvalTtlHours: number;
    creditsSpent: number;
    past: Past;
  }>;
  prompts: Prompts;
  summaries: Summaries;
  isUntrusted: IsUntrusted;
  /** Whether mail stays here for everybody. */
  sandbox: boolean;
  now(): number;
}

const SANDBOX_NOTE =
  'This is a sandbox: mails are kept in the outbox and do not leave; say so when you speak of sending.';

export function createContext({ read, prompts, summaries, isUntrusted, sandbox, now }: ContextNeeds) {
  const system = prompts.get('outreach/system');
  return async (turn: LeasedTurn): Promise<TurnContext> => {
    const stored = await read(turn);
    return {
      creditsSpent: stored.creditsSpent,
      policy: { autoSpendCredits: stored.autoSpendCredits, approvalTtlHours: stored.approvalTtlHours },
      async recall(run, beginning) {
        const history = buildHistory(await summaries.recall(run, stored.past, beginning), isUntrusted);
        const page = turn.input.page_context;
        const rules = system.render({
          today: new Date(now()).toISOString().slice(0, 10),
          workspace_name: stored.workspaceName,
          sandbox_note: sandbox || turn.caller.sandbox ? SANDBOX_NOTE : '',
        });
        const messages: PlainMessage[] = [{ role: 'system', content: rules }, ...history.messages];
        if (page !== undefined) {
          const fenced = { __untrusted_third_party_content: true, source: 'page_context', content: page };
          messages.push({ role: 'user', content: JSON.stringify(fenced) });
        }
        messages.push({ role: 'user', content: turn.input.message });
        return { messages, tainted: history.tainted || page !== undefined };
      },
    };
  };
}
