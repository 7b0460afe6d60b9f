/** The tool by which the agent learns what may be spent. */

import { z } from 'zod';
import type { Credits } from '../resources/credits/credits.ts';
import { type Tool, tool } from './tool.ts';

export function createGetCreditBalanceTool({ credits }: { credits: Pick<Credits, 'balance'> }): Tool {
  return tool({
    name: 'get_credit_balance',
    description:
      "Answers the workspace's credits: in all, used, and available to spend now. Call it when the user asks for the balance or before something that costs much.",
    schema: z.strictObject({}),
    untrusted: false,
    effect: 'none',
    async run({ caller }) {
      const { total_credits, used_credits, available_credits } = await credits.balance(caller);
      return { total_credits, used_credits, available_credits };
    },
  });
}
