/** Looks up who calls: live API keys by their hash, and the workspace a caller belongs to. */

import { sql } from 'kysely';
import type pg from 'pg';
import type { Database } from '../../db/database.ts';
import { DEV_WORKSPACE, type Identities, type KeyRecord } from '../../http/caller.ts';
import type { Log } from '../../log.ts';

/** A revocation in another process is seen within this time; the promise is 5 seconds. */
const KEY_FRESH_MS = 4_000;
/** `last_used_at` of a key is written at most this often. */
const USE_NOTED_MS = 60_000;
/** How many keys and workspaces this process remembers. */
const REMEMBERED = 10_000;

const FIRST_CREDITS = 100;
const FIRST_CREDITS_DEV = 1000;

export interface IdentitiesNeeds {
  /** The serving role's pool: keys are looked up before a workspace is known. */
  pool: pg.Pool;
  database: Database;
  newId(): string;
  now(): number;
  log: Log;
}

export interface ServingIdentities extends Identities {
  /** Forgets every key that was looked up, so that a revocation counts at once in this process. */
  forgetKeys(): void;
}

export function createIdentities({ pool, database, newId, now, log }: IdentitiesNeeds): ServingIdentities {
  const keys = new Map<string, { found: Promise<KeyRecord | null>; until: number }>();
  const uses = new Map<string, number>();
  const workspaces = new Set<string>();

  async function lookUp(hash: Buffer): Promise<KeyRecord | null> {
    const { rows } = await pool.query<{
      id: string;
      workspace_id: string;
      user_id: string;
      sandbox: boolean;
      scopes: string[] | null;
    }>({
      name: 'find_api_key',
      text: 'select id, workspace_id, user_id, sandbox, scopes from find_api_key($1)',
      values: [hash],
    });
    const row = rows[0];
    if (row === undefined) return null;
    return {
      id: row.id,
      workspaceId: row.workspace_id,
      userId: row.user_id,
      sandbox: row.sandbox,
      scopes: row.scopes,
    };
  }

  /** Writes that the key was used, once a minute, beside the request: its failure is no reason to refuse. */
  function noteUse(key: KeyRecord): void {
    if (now() - (uses.get(key.id) ?? 0) < USE_NOTED_MS) return;
    remember(uses, key.id);
    uses.set(key.id, now());
    database
      .within(key.workspaceId, (tx) =>
        tx
          .updateTable('api_keys')
          .set({ last_used_at: sql`now()` })
          .where('id', '=', key.id)
          // Other processes note it too.
          .where(sql<boolean>`last_used_at is null or last_used_at < now() - interval '1 minute'`)
          .execute(),
      )
      .catch((error: unknown) =>
        log.warn({ err: error, key_id: key.id }, 'the use of an API key was not noted'),
      );
  }

  return {
    async findKey(hash) {
      const name = hash.toString('base64');
      const known = keys.get(name);
      let found = known !== undefined && now() < known.until ? known.found : undefined;
      if (found === undefined) {
        // The promise is kept, not its outcome: `forgetKeys` then also drops a look-up that began before a revocation.
        found = lookUp(hash);
        const entry = { found, until: now() + KEY_FRESH_MS };
        remember(keys, name);
        keys.set(name, entry);
        const drop = () => {
          if (keys.get(name) === entry) keys.delete(name);
        };
        // What is unknown or failed is asked again: guesses must not push real keys out.
        found.then((key) => {
          if (key === null) drop();
        }, drop);
      }
      const key = await found;
      if (key !== null) noteUse(key);
      return key;
    },

    forgetKeys() {
      keys.clear();
    },

    async ensureWorkspace(workspaceId, name) {
      if (workspaces.has(workspaceId)) return;
      await database.within(workspaceId, async (tx) => {
        await tx
          .insertInto('workspaces')
          .values({ id: workspaceId, name: name.replaceAll('\0', '').slice(0, 200) })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
        const credits = workspaceId === DEV_WORKSPACE ? FIRST_CREDITS_DEV : FIRST_CREDITS;
        const account = await tx
          .insertInto('credit_accounts')
          .values({ workspace_id: workspaceId, balance: credits })
          .onConflict((conflict) => conflict.doNothing())
          .returning('workspace_id')
          .executeTakeFirst();
        if (account === undefined) return;
        await tx
          .insertInto('credit_transactions')
          .values({
            id: newId(),
            workspace_id: workspaceId,
            transaction_type: 'adjustment',
            amount: credits,
            balance_after: credits,
            description: 'Credits to begin with',
          })
          .execute();
      });
      remember(workspaces, workspaceId);
      workspaces.add(workspaceId);
    },
  };
}

/** Makes room for one more by dropping the oldest. */
function remember(kept: Map<string, unknown> | Set<string>, next: string): void {
  if (kept.size < REMEMBERED || kept.has(next)) return;
  const oldest = kept.keys().next();
  if (oldest.done !== true) kept.delete(oldest.value);
}
