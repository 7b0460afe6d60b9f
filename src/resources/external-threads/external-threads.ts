/** Threads under the names that other protocols' clients gave them; a name leads only its own user to a conversation. */

import type pg from 'pg';
import { z } from 'zod';
import { type Queryable, transact } from '../../db/pipeline.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { line } from '../text.ts';

/** A thread's name as a client may choose it. */
export const externalId = line.min(1).max(200);

export interface ExternalThreadNeeds {
  appPool: pg.Pool;
  newId(): string;
}

export type ExternalThreads = ReturnType<typeof createExternalThreads>;

const FIND = `
select c.id from conversations c
 where c.user_id = $1
   and (c.id = $3::uuid
        or c.id = (select conversation_id from external_threads where user_id = $1 and external_id = $2))
 limit 1`;

export function createExternalThreads({ appPool, newId }: ExternalThreadNeeds) {
  async function look(client: Queryable, caller: Caller, name: string): Promise<string | null> {
    const ownId = z.uuid().safeParse(name).success ? name : null;
    const { rows } = await client.query<{ id: string }>(FIND, [caller.userId, name, ownId]);
    return rows[0]?.id ?? null;
  }

  const find = (caller: Caller, name: string): Promise<string | null> =>
    transact(appPool, caller.workspaceId, (client) => look(client, caller, name));

  /** The same; where there is none, a new conversation takes the name. Two at once get one and the same. */
  async function open(caller: Caller, name: string): Promise<string> {
    const known = await find(caller, name);
    if (known !== null) return known;
    try {
      return await transact(appPool, caller.workspaceId, async (client) => {
        const threadId = newId();
        await client.query(`insert into conversations (id, workspace_id, user_id) values ($1, $2, $3)`, [
          threadId,
          caller.workspaceId,
          caller.userId,
        ]);
        await client.query(
          `insert into external_threads (workspace_id, user_id, external_id, conversation_id) values ($1, $2, $3, $4)`,
          [caller.workspaceId, caller.userId, name, threadId],
        );
        return threadId;
      });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === '23505')) throw error;
    }
    // Another request gave the name at the same moment; its conversation is the one.
    const first = await find(caller, name);
    if (first === null) throw new Error('a thread of this name was there a moment ago');
    return first;
  }

  return {
    /** The caller's conversation of this name, which may also be its own id; null where there is none. */
    find,

    /** The same; throws `NOT_FOUND` where there is none. */
    async get(caller: Caller, name: string): Promise<string> {
      const threadId = await find(caller, name);
      if (threadId === null) throw new ServiceError('NOT_FOUND', 'There is no such thread.');
      return threadId;
    },

    open,

    /** A new conversation takes the name; the one that had it goes on without. */
    async renew(caller: Caller, name: string): Promise<string> {
      await transact(appPool, caller.workspaceId, (client) =>
        client.query(`delete from external_threads where user_id = $1 and external_id = $2`, [
          caller.userId,
          name,
        ]),
      );
      return open(caller, name);
    },

    /** The names of these conversations, where they have one. */
    async namesOf(caller: Caller, threadIds: readonly string[]): Promise<Map<string, string>> {
      return transact(appPool, caller.workspaceId, async (client) => {
        const { rows } = await client.query<{ conversation_id: string; external_id: string }>(
          `select conversation_id, external_id from external_threads where conversation_id = any($1::uuid[])`,
          [threadIds],
        );
        return new Map(rows.map((row) => [row.conversation_id, row.external_id]));
      });
    },
  };
}
