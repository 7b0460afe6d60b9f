/** From a model's tool call to a frozen, hashed proposal: what it would do, whether a person is asked, and the card that asks. */

import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import type { Caller } from '../runtime/caller.ts';
import type { Approval, Decision, EffectClass, Warning } from '../runtime/events.ts';
import type { Proposal, ProposeContext, Tool } from '../tools/tool.ts';
import type { ModelTool } from './model.ts';
import { isJsonObject } from './model-messages.ts';

export interface ToolBox {
  get(name: string): Tool | undefined;
  /** As the model is told of them; always the same array. */
  readonly forModel: readonly ModelTool[];
}

/** Gathers the tools by name. Throws where two share a name. */
export function createToolBox(tools: readonly Tool[]): ToolBox {
  const byName = new Map(tools.map((tool) => [tool.name, tool]));
  if (byName.size !== tools.length) throw new Error('two tools share a name');
  return {
    get: (name) => byName.get(name),
    forModel: tools.map((tool) => ({
      name: tool.name,
      description: tool.description,
      parameters: toldSchema(schemaOf(tool)),
    })),
  };
}

/** What follows from a tool's schema, which never changes: to convert it costs a millisecond, and each call asks several times. */
const described = new WeakMap<Tool, { schema: Record<string, unknown>; hash: string }>();

function describe(tool: Tool) {
  let known = described.get(tool);
  if (known === undefined) {
    const { $schema: _unused, ...schema } = z.toJSONSchema(tool.schema, { io: 'input' });
    const hash = createHash('sha256')
      .update(canonicalize(schema) ?? '')
      .digest('hex');
    known = { schema, hash };
    described.set(tool, known);
  }
  return known;
}

/** The JSON schema of a tool's arguments; always the same object. */
export function schemaOf(tool: Tool): Record<string, unknown> {
  return describe(tool).schema;
}

/** The schema as a model reads it: beside a `format` its regular expression says nothing more, and is a quarter of all it is sent. */
function toldSchema(schema: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(schema), (_key, value: unknown) => {
    if (!isJsonObject(value) || typeof value.format !== 'string' || typeof value.pattern !== 'string')
      return value;
    const { pattern: _implied, ...rest } = value;
    return rest;
  });
}

/** Parses arguments by the tool's schema; throws `VALIDATION_ERROR` with the faulty fields. */
export function parseArgs(tool: Tool, args: unknown): never {
  const parsed = tool.schema.safeParse(args);
  if (parsed.success) return parsed.data;
  throw new ServiceError(
    'VALIDATION_ERROR',
    `The arguments do not fit ${tool.name}: ${z.prettifyError(parsed.error)}`,
    {
      details: parsed.error.issues.map((issue) => ({
        loc: ['body', 'args', ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))],
        msg: issue.message,
        type: issue.code,
      })),
    },
  );
}

/** The version of what is hashed: raise it when the meaning of a manifest changes. */
const MANIFEST_DOMAIN = 'overture/approval/1';

/** SHA-256 over the canonical manifest (RFC 8785): tool, frozen arguments, and everything they stand for. */
export function hashProposal(workspaceId: string, tool: Tool, proposal: Proposal): string {
  const manifest = {
    domain: MANIFEST_DOMAIN,
    workspace: workspaceId,
    tool: tool.name,
    schema: describe(tool).hash,
    args: proposal.args,
    stands: proposal.stands,
    price_ceiling: proposal.credits,
  };
  return createHash('sha256')
    .update(canonicalize(manifest) ?? '')
    .digest('hex');
}

/** A read changes nothing, so it has no proposal of its own: its arguments say all. */
export async function proposeCall(tool: Tool, context: ProposeContext, args: unknown): Promise<Proposal> {
  const parsed = parseArgs(tool, args);
  if (tool.effect !== 'none') return tool.propose(context, parsed);
  return {
    args: parsed,
    stands: {},
    effectClass: 'read',
    credits: 0,
    title: tool.name,
    facts: [],
    warnings: [],
    preview: [],
    consequence: '',
  };
}

/**
 * Whether a person is asked (design.md §6): `read` never; `write` in a tainted turn; `spend` in a tainted turn or above
 * what the workspace lets pass; `send` and `launch` always. Null means no; else the reason that the card gives.
 */
export function reasonToAsk(
  effectClass: EffectClass,
  { tainted, credits, autoSpend }: { tainted: boolean; credits: number; autoSpend: number },
): string | null {
  switch (effectClass) {
    case 'read':
      return null;
    case 'send':
      return 'Mail that has left cannot be taken back.';
    case 'launch':
      return 'A launch sends to many people.';
    case 'write':
      return tainted ? 'Text from outside is in this conversation, so a change needs your yes.' : null;
    case 'spend':
      if (tainted) return 'Text from outside is in this conversation, so spending needs your yes.';
      return credits > autoSpend
        ? `It may cost ${credits} credits; up to ${autoSpend} a turn pass without asking.`
        : null;
  }
}

const SEVERITY = { high: 0, medium: 1, low: 2 } as const;

function worstFirst(warnings: readonly Warning[]): Warning[] {
  return [...warnings].sort((one, other) => SEVERITY[one.severity] - SEVERITY[other.severity]);
}

export interface CardNeeds {
  approvalId: string;
  threadId: string;
  turnId: string;
  toolCallId: string;
  reason: string;
  createdAt: Date;
  ttlHours: number;
  /** Whose turn it is. */
  caller: Caller;
}

/** What a card shows of a proposal. */
export function shownOf(proposal: Proposal) {
  const { args, title, facts, preview, consequence } = proposal;
  return { args, title, facts, warnings: worstFirst(proposal.warnings), preview, consequence };
}

/** The card that asks for a decision on this proposal. */
export function makeCard(tool: Tool, proposal: Proposal, argsHash: string, needs: CardNeeds): Approval {
  const { caller } = needs;
  return {
    approval_id: needs.approvalId,
    thread_id: needs.threadId,
    turn_id: needs.turnId,
    tool_call_id: needs.toolCallId,
    tool: tool.name,
    kind: 'proposal',
    reason: needs.reason,
    asked_for: { user_id: caller.userId, email: caller.email, kind: caller.kind },
    args_hash: argsHash,
    args_schema: withDefaults(schemaOf(tool), proposal.assumed ?? {}),
    ...shownOf(proposal),
    allowed_decisions: ['approve', 'edit', 'reject'],
    status: 'pending',
    created_at: needs.createdAt.toISOString(),
    expires_at: new Date(needs.createdAt.getTime() + needs.ttlHours * 3_600_000).toISOString(),
  };
}

/** The schema with what holds where an argument is not given (JSON Schema, `default`). */
function withDefaults(
  schema: Record<string, unknown>,
  assumed: Record<string, unknown>,
): Record<string, unknown> {
  const properties = Object.entries({ ...(schema.properties as Record<string, object>) }).map(
    ([name, property]) => [name, name in assumed ? { ...property, default: assumed[name] } : property],
  );
  return { ...schema, properties: Object.fromEntries(properties) };
}

const OUTCOME_DECISIONS: Decision[] = ['mark_done', 'mark_failed', 'retry'];

/** The card that asks what really happened to an effect whose fate is unknown. */
export function makeOutcomeCard(
  card: Approval,
  needs: Omit<CardNeeds, 'threadId' | 'turnId' | 'toolCallId' | 'caller'>,
): Approval {
  return {
    ...card,
    approval_id: needs.approvalId,
    kind: 'outcome',
    title: `Unknown outcome: ${card.title}`,
    reason: needs.reason,
    consequence:
      'It may have happened or not. Check (the recipient, the mail server) and say which; "retry" does it again, and it may then have happened twice.',
    allowed_decisions: OUTCOME_DECISIONS,
    status: 'pending',
    created_at: needs.createdAt.toISOString(),
    expires_at: new Date(needs.createdAt.getTime() + needs.ttlHours * 3_600_000).toISOString(),
  };
}

/** The same card for other arguments, as an edit shows it before it is decided; and everybody whom a card is about. */
export function createProposer({ toolBox }: { toolBox: ToolBox }) {
  async function proposeAnew(
    caller: Caller,
    card: Approval,
    args: Record<string, unknown>,
    tainted: boolean,
  ): Promise<{ proposal: Proposal; argsHash: string }> {
    const tool = toolBox.get(card.tool);
    if (tool === undefined || tool.effect === 'none') {
      throw new ServiceError(
        'STALE_PROPOSAL',
        'The tool of this approval does not exist any more. Reject it and ask again.',
      );
    }
    const context = {
      caller,
      turnId: card.turn_id,
      toolCallId: card.tool_call_id,
      tainted,
      signal: AbortSignal.timeout(10_000),
    };
    const proposal = await proposeCall(tool, context, args);
    return { proposal, argsHash: hashProposal(caller.workspaceId, tool, proposal) };
  }

  return {
    async propose(caller: Caller, card: Approval, args: Record<string, unknown>, tainted: boolean) {
      const { proposal, argsHash } = await proposeAnew(caller, card, args, tainted);
      return { ...shownOf(proposal), args_hash: argsHash };
    },

    async recipients(caller: Caller, card: Approval, tainted: boolean) {
      const { proposal, argsHash } = await proposeAnew(caller, card, card.args, tainted);
      return { args_hash: argsHash, recipients: proposal.recipients?.() ?? [] };
    },
  };
}
