/** Deeds of API keys: made once in the open, kept as a hash, revoked at once. */

import { randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { z } from 'zod';
import type { Database } from '../../db/database.ts';
import type { ApiKeyTable } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import { hashKey } from '../../http/caller.ts';
import type { Caller } from '../../runtime/caller.ts';
import {
  type ApiKey,
  type ApiKeyCreated,
  type apiKeyList,
  type createApiKeyBody,
  KEYS_PER_WORKSPACE,
  SHOWN_CHARACTERS,
} from './schema.ts';

export interface ApiKeysNeeds {
  database: Database;
  newId(): string;
  /** Makes this process look its keys up again. */
  forgetKeys(): void;
}

export type ApiKeys = ReturnType<typeof createApiKeys>;

/** What is read of a key: never its hash. */
const SHOWN = ['id', 'name', 'key_prefix', 'sandbox', 'scopes', 'created_at', 'last_used_at'] as const;

export function createApiKeys({ database, newId, forgetKeys }: ApiKeysNeeds) {
  return {
    /** Makes a key and answers it in full, this once; throws `LIMIT_REACHED` where the workspace has twenty. */
    create(caller: Caller, input: z.output<typeof createApiKeyBody>): Promise<ApiKeyCreated> {
      return database.within(caller.workspaceId, async (tx) => {
        // Two requests at once must not both find room for the twentieth.
        await tx
          .selectFrom('workspaces')
          .select('id')
          .where('id', '=', caller.workspaceId)
          .forNoKeyUpdate()
          .execute();
        const { count } = await tx
          .selectFrom('api_keys')
          .select((row) => row.fn.countAll<string>().as('count'))
          .where('revoked_at', 'is', null)
          .executeTakeFirstOrThrow();
        if (Number(count) >= KEYS_PER_WORKSPACE) {
          throw new ServiceError(
            'LIMIT_REACHED',
            `A workspace has at most ${KEYS_PER_WORKSPACE} live API keys. Revoke one that is not used.`,
            { facts: { limit: KEYS_PER_WORKSPACE } },
          );
        }
        const key = `${input.sandbox ? 'bav_test_' : 'bav_live_'}${randomBytes(32).toString('base64url')}`;
        const row = await tx
          .insertInto('api_keys')
          .values({
            id: newId(),
            workspace_id: caller.workspaceId,
            user_id: caller.userId,
            name: input.name,
            key_hash: hashKey(key),
            key_prefix: key.slice(0, SHOWN_CHARACTERS),
            sandbox: input.sandbox,
            scopes: input.scopes ?? null,
          })
          .returning(SHOWN)
          .executeTakeFirstOrThrow();
        return { ...toApiKey(row), key };
      });
    },

    /** Lists the workspace's live keys, newest first. */
    list(caller: Caller): Promise<z.output<typeof apiKeyList>> {
      return database.within(caller.workspaceId, async (tx) => {
        const rows = await tx
          .selectFrom('api_keys')
          .select(SHOWN)
          .where('revoked_at', 'is', null)
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(KEYS_PER_WORKSPACE)
          .execute();
        const keys = rows.map(toApiKey);
        return {
          keys,
          items: keys,
          count: keys.length,
          tier_limit: KEYS_PER_WORKSPACE,
          next_cursor: null,
          has_more: false,
        };
      });
    },

    /** Whether the key may still be used; a stream that it opened asks from time to time. */
    isLive(workspaceId: string, keyId: string): Promise<boolean> {
      return database.within(workspaceId, async (tx) => {
        const live = tx
          .selectFrom('api_keys')
          .select('id')
          .where('id', '=', keyId)
          .where('revoked_at', 'is', null);
        return (await live.executeTakeFirst()) !== undefined;
      });
    },

    /** Revokes a key: at once in this process, within 5 seconds in every other. Throws `NOT_FOUND`. */
    async revoke(caller: Caller, keyId: string): Promise<void> {
      const { numUpdatedRows } = await database.within(caller.workspaceId, (tx) =>
        tx
          .updateTable('api_keys')
          .set({ revoked_at: sql`now()` })
          .where('id', '=', keyId)
          .where('revoked_at', 'is', null)
          .executeTakeFirst(),
      );
      if (numUpdatedRows === 0n) throw new ServiceError('NOT_FOUND', 'There is no such API key.');
      forgetKeys();
    },
  };
}

function toApiKey(row: Pick<Selectable<ApiKeyTable>, (typeof SHOWN)[number]>): ApiKey {
  return {
    id: row.id,
    name: row.name,
    key_prefix: row.key_prefix,
    sandbox: row.sandbox,
    scopes: row.scopes,
    created_at: row.created_at.toISOString(),
    last_used_at: row.last_used_at?.toISOString() ?? null,
  };
}
