/** Who the caller is, over REST (contract, tag auth). */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import { type Caller, PRINCIPAL_KINDS } from '../../runtime/caller.ts';

export const authUser = z.object({
  user_id: z.string(),
  /** Empty where the caller has none, as an API key has. */
  email: z.string(),
  role: z.literal('user'),
  authenticated: z.literal(true),
  app_metadata: z.object({
    workspace_id: z.uuid(),
    plan: z.string(),
    kind: z.enum(PRINCIPAL_KINDS),
    /** null: all of them. */
    scopes: z.array(z.string()).nullable(),
    sandbox: z.boolean(),
  }),
  user_metadata: z.record(z.string(), z.unknown()),
});

export function createIdentityRoutes(): Route[] {
  const whoAmI = (path: string, operation: string, summary: string) =>
    route({
      method: 'GET',
      path,
      operation,
      tag: 'auth',
      summary,
      access: 'caller',
      answers: { 200: authUser },
      handle: async ({ caller }) => ({ status: 200, body: toUser(caller) }),
    });
  return [
    whoAmI('/api/v1/auth/me', 'getCurrentUser', 'Who am I'),
    whoAmI('/api/v1/auth/verify', 'verifyToken', 'Check the token'),
  ];
}

function toUser(caller: Caller): z.output<typeof authUser> {
  return {
    user_id: caller.userId,
    email: caller.email ?? '',
    role: 'user',
    authenticated: true,
    app_metadata: {
      workspace_id: caller.workspaceId,
      plan: caller.plan,
      kind: caller.kind,
      scopes: caller.scopes === null ? null : [...caller.scopes],
      sandbox: caller.sandbox,
    },
    user_metadata: {},
  };
}
