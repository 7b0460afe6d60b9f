/** Tools of each kind for the schedules, and the outside world that counts what they did to it. */

import { z } from 'zod';
import type { Proposal, Tool } from '../../../src/tools/tool.ts';
import { tool } from '../../../src/tools/tool.ts';
import type { Owner, Turnstile } from './turnstile.ts';

/** What left the house, physically, under which key. */
export interface Outside {
  /** By provider key: a mail server that knows no deduplication takes each. */
  mails: Map<string, number>;
  /** By provider key: a provider that deduplicates does each once. */
  orders: Map<string, number>;
  /** By call: rows that a tool wrote into our own database. */
  notes: Map<string, number>;
  /** What was sent by key, as the tool was given it. */
  sent: Map<string, { toolCallId: string; text: string }>;
}

export function createOutside(): Outside {
  return { mails: new Map(), orders: new Map(), notes: new Map(), sent: new Map() };
}

interface ToolNeeds {
  owner: Owner;
  turnstile: Turnstile;
  outside: Outside;
  /** How the next act outside ends. */
  fate(): 'done' | 'failed' | 'unknown, done' | 'unknown, not done';
}

const schema = z.strictObject({ text: z.string() });
type Args = z.output<typeof schema>;

function proposalOf(effectClass: Proposal['effectClass'], { text }: Args): Proposal {
  return {
    args: { text },
    stands: {},
    effectClass,
    credits: 0,
    title: text,
    facts: [],
    warnings: [],
    preview: [],
    consequence: '',
  };
}

function textOf({ args }: Proposal): string {
  return String(args.text);
}

function count(map: Map<string, number>, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}

export function createScheduleTools({ owner, turnstile, outside, fate }: ToolNeeds): Tool[] {
  const sending = (name: string, deduplicates: boolean): Tool =>
    tool<Args>({
      name,
      description: 'sends',
      schema,
      untrusted: false,
      effect: 'outside',
      deduplicates,
      propose: async (_context, args) => proposalOf('send', args),
      intendWithin: async () => ({ act: true }),
      async act(context, proposal) {
        const end = await turnstile.pass(owner, 'mail', () => {
          const chosen = fate();
          if (chosen === 'done' || chosen === 'unknown, done') {
            const key = context.providerKey;
            outside.sent.set(key, { toolCallId: context.toolCallId, text: textOf(proposal) });
            if (!deduplicates) count(outside.mails, key);
            else if (!outside.orders.has(key)) count(outside.orders, key);
          }
          return chosen;
        });
        if (end === 'done') return { state: 'done', providerRef: 'ref' };
        const fault = { code: 'MAIL_UNAVAILABLE', message: 'the line went dead', retryable: false } as const;
        return end === 'failed' ? { state: 'failed', error: fault } : { state: 'unknown', error: fault };
      },
      settleWithin: async (_tx, _context, proposal, outcome) =>
        outcome.state === 'done' ? { sent: textOf(proposal) } : undefined,
    });

  return [
    tool<Args>({
      name: 'look',
      description: 'reads',
      schema,
      untrusted: false,
      effect: 'none',
      run: (_context, { text }) => turnstile.pass(owner, 'look', () => ({ seen: text })),
    }),
    tool<Args>({
      name: 'note',
      description: 'writes',
      schema,
      untrusted: false,
      effect: 'inside',
      propose: async (_context, args) => proposalOf('write', args),
      async runWithin(_tx, context, proposal) {
        count(outside.notes, context.toolCallId);
        return { noted: textOf(proposal) };
      },
    }),
    sending('mail', false),
    sending('order', true),
  ];
}
