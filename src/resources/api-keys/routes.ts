/** API keys over REST (contract, tag api-keys). A key cannot make or revoke keys. */

import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { type IdempotencyStore, once, readIdempotencyKey } from '../../http/idempotency.ts';
import { type Route, route } from '../../http/route.ts';
import { type Caller, principalOf } from '../../runtime/caller.ts';
import type { ApiKeys } from './api-keys.ts';
import { type ApiKey, type ApiKeyCreated, apiKeyCreated, apiKeyList, createApiKeyBody } from './schema.ts';

const tag = 'api-keys';
const PATH = '/api/v1/api-keys';

export function createApiKeyRoutes(
  apiKeys: ApiKeys,
  { idempotency }: { idempotency: IdempotencyStore },
): Route[] {
  /** The record of an Idempotency-Key must not hold the secret, so a repeat cannot be given it again: it is told so. */
  async function createOnce(
    caller: Caller,
    header: string | undefined,
    body: z.output<typeof createApiKeyBody>,
  ): Promise<ApiKeyCreated> {
    const key = readIdempotencyKey(header);
    if (key === undefined) return apiKeys.create(caller, body);
    const scope = {
      workspaceId: caller.workspaceId,
      principal: principalOf(caller),
      route: `POST ${PATH}`,
      key,
    };
    let secret = '';
    const answer = await once(idempotency, scope, body, async () => {
      const { key: made, ...shown } = await apiKeys.create(caller, body);
      secret = made;
      return { status: 201, body: shown };
    });
    const shown = answer.body as ApiKey;
    if (answer.replayed) {
      throw new ServiceError(
        'ALREADY_EXISTS',
        'This Idempotency-Key has made a key already, and a key is shown only once. If it was lost, revoke it and make another.',
        { facts: { id: shown.id, key_prefix: shown.key_prefix } },
      );
    }
    return { ...shown, key: secret };
  }

  return [
    route({
      method: 'POST',
      path: PATH,
      operation: 'createApiKey',
      tag,
      summary: 'Make a key; it is shown this once',
      access: 'person',
      body: createApiKeyBody,
      ownIdempotency: true,
      answers: { 201: apiKeyCreated },
      refusals: ['LIMIT_REACHED', 'ALREADY_EXISTS'],
      handle: async ({ caller, body, header }) => ({
        status: 201,
        body: await createOnce(caller, header('idempotency-key'), body),
        headers: { 'cache-control': 'no-store' },
      }),
    }),
    route({
      method: 'GET',
      path: PATH,
      operation: 'listApiKeys',
      tag,
      summary: 'List live keys',
      access: 'read',
      answers: { 200: apiKeyList },
      handle: async ({ caller }) => ({ status: 200, body: await apiKeys.list(caller) }),
    }),
    route({
      method: 'DELETE',
      path: `${PATH}/{key_id}`,
      operation: 'revokeApiKey',
      tag,
      summary: 'Revoke a key at once',
      access: 'person',
      params: z.object({ key_id: z.uuid() }),
      answers: { 204: 'empty' },
      handle: async ({ caller, params }) => {
        await apiKeys.revoke(caller, params.key_id);
        return { status: 204 };
      },
    }),
  ];
}
