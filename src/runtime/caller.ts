/** Who acts: every deed, turn and stream is done for one caller. */

export const PRINCIPAL_KINDS = ['person', 'api_key', 'agent', 'mcp', 'dev'] as const;
export type PrincipalKind = (typeof PRINCIPAL_KINDS)[number];

export const SCOPES = ['read', 'write', 'agent:chat', 'approvals:write', 'replies:write', 'send'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Caller {
  workspaceId: string;
  userId: string;
  kind: PrincipalKind;
  /** `null` means all of them. */
  scopes: readonly string[] | null;
  /** A sandbox caller's mail stays in the outbox, whatever is configured. */
  sandbox: boolean;
  email: string | null;
  /** Id of the API key that was used, if one was. */
  keyId: string | null;
  plan: string;
  /** When the session ends that was signed in with, in milliseconds of the epoch; absent where nothing ends by itself. */
  expiresAt?: number;
}

/** Whether the caller may do what `scope` names. */
export function mayDo(caller: Caller, scope: Scope): boolean {
  return caller.scopes === null || caller.scopes.includes(scope);
}

/** Whether the caller may decide approvals: a person, or a key that holds the scope; never the agent or an MCP caller (design.md §6). */
export function mayDecide(caller: Caller): boolean {
  if (caller.kind === 'agent' || caller.kind === 'mcp') return false;
  return mayDo(caller, 'approvals:write');
}

/** The caller's name for limits, idempotency keys and the log: stable, without a secret. */
export function principalOf(caller: Caller): string {
  return caller.keyId === null ? `user:${caller.userId}` : `key:${caller.keyId}`;
}
