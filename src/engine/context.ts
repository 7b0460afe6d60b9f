/** Builds what the model is shown before a turn's own messages: rules, history, the page, and the user's words. */

import type { Message } from '../runtime/events.ts';
import type { LeasedTurn } from '../runtime/ports.ts';
import { buildHistory } from './history.ts';
import type { PlainMessage } from './model.ts';
import type { Prompts } from './prompts.ts';
import type { ToolBox } from './proposals.ts';
import type { TurnContext } from './runner.ts';

/** The prompt of the chat agent with the slots that are filled here (prompts.ts). */
export const OUTREACH_PROMPTS = { 'outreach/system': ['today', 'workspace_name', 'sandbox_note'] } as const;

export interface ContextNeeds {
  read(turn: LeasedTurn): Promise<{
    workspaceName: string;
    autoSpendCredits: number;
    approvalTtlHours: number;
    creditsSpent: number;
    messages: Message[];
  }>;
  prompts: Prompts;
  toolBox: ToolBox;
  /** Whether mail stays here for everybody. */
  sandbox: boolean;
  now(): number;
}

const SANDBOX_NOTE =
  'This is a sandbox: mails are kept in the outbox and do not leave; say so when you speak of sending.';

export function createContext({ read, prompts, toolBox, sandbox, now }: ContextNeeds) {
  const system = prompts.get('outreach/system');
  return async (turn: LeasedTurn): Promise<TurnContext> => {
    const stored = await read(turn);
    const history = buildHistory(stored.messages, (name) => toolBox.get(name)?.untrusted ?? true);
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
    return {
      messages,
      tainted: history.tainted || page !== undefined,
      creditsSpent: stored.creditsSpent,
      policy: { autoSpendCredits: stored.autoSpendCredits, approvalTtlHours: stored.approvalTtlHours },
    };
  };
}
