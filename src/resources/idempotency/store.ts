/** Keeps Idempotency-Keys and their first answers in PostgreSQL. A sweeper prunes them after 24 hours. */

import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { IdempotencyScope, IdempotencyStore } from '../../http/idempotency.ts';

/** How often a claim tries again when the key was released between its two statements. */
const CLAIM_ATTEMPTS = 5;

export function createIdempotencyStore({ database }: { database: Database }): IdempotencyStore {
  return {
    claim({ workspaceId, principal, route, key }, bodyHash) {
      return database.within(workspaceId, async (tx) => {
        for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt += 1) {
          const made = await tx
            .insertInto('idempotency_keys')
            .values({ workspace_id: workspaceId, principal, route, key, body_hash: bodyHash })
            .onConflict((conflict) => conflict.doNothing())
            .returning('key')
            .executeTakeFirst();
          if (made !== undefined) return null;
          const first = await tx
            .selectFrom('idempotency_keys')
            .select([
              'body_hash',
              'status',
              'response',
              sql<number>`extract(epoch from clock_timestamp() - created_at)::float8`.as('age'),
            ])
            .where((row) => row.and({ principal, route, key }))
            .executeTakeFirst();
          if (first !== undefined) {
            return {
              bodyHash: first.body_hash,
              status: first.status,
              response: first.response,
              ageSeconds: first.age,
            };
          }
        }
        throw new Error('an idempotency key was claimed and released again and again');
      });
    },

    async keep(scope, status, response) {
      await database.within(scope.workspaceId, (tx) =>
        tx
          .updateTable('idempotency_keys')
          .set({
            status,
            response: response === null || response === undefined ? null : JSON.stringify(response),
          })
          .where((row) => row.and(primaryKey(scope)))
          .execute(),
      );
    },

    async release(scope) {
      await database.within(scope.workspaceId, (tx) =>
        tx
          .deleteFrom('idempotency_keys')
          .where((row) => row.and(primaryKey(scope)))
          .execute(),
      );
    },
  };
}

function primaryKey({ workspaceId, principal, route, key }: IdempotencyScope) {
  return { workspace_id: workspaceId, principal, route, key };
}
