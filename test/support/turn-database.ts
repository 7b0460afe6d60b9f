/** A migrated database of a test's own, with turns to hang checkpoints on. */

import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { createPool } from '../../src/db/pool.ts';
import { createLog } from '../../src/log.ts';
import { openDatabase } from './database.ts';

const log = createLog({ level: 'error', write: (line) => process.stderr.write(line), secrets: [] });

export interface TurnDatabase {
  /** Serves the owner, who makes turns and takes them over. */
  owner: pg.Pool;
  /** Serves the role that the checkpoint store has in the service. */
  runtime: pg.Pool;
  workspaceId: string;
  /** Makes a turn that runs under lease epoch 1; gives its id. */
  startTurn(id?: string): Promise<string>;
  close(): Promise<void>;
}

/** Opens a database of the run's server. */
export async function openTurnDatabase(): Promise<TurnDatabase> {
  const { url, close } = await openDatabase();
  const owner = createPool({ url, role: null, size: 4, log });
  const runtime = createPool({ url, role: 'overture_runtime', size: 4, log });

  const workspaceId = randomUUID();
  // The owner is bound by row level security too.
  const asWorkspace = async (text: string, values: string[]) => {
    const client = await owner.connect();
    try {
      await client.query('begin');
      await client.query("select set_config('app.workspace_id', $1, true)", [workspaceId]);
      await client.query(text, values);
      await client.query('commit');
    } finally {
      client.release();
    }
  };
  await asWorkspace("insert into workspaces (id, name) values ($1, 'Test')", [workspaceId]);

  return {
    owner,
    runtime,
    workspaceId,
    async startTurn(id = randomUUID()) {
      const conversationId = randomUUID();
      await asWorkspace("insert into conversations (id, workspace_id, user_id) values ($1, $2, 'user')", [
        conversationId,
        workspaceId,
      ]);
      await asWorkspace(
        `insert into turns (id, conversation_id, workspace_id, user_id, status, input, caller, message_id, run_id,
           run_kind, first_seq, kept_seq, usage)
         values ($1, $2, $3, 'user', 'running', '{}', '{}', $1, $1, 'message', 1, 1, '{}')`,
        [id, conversationId, workspaceId],
      );
      return id;
    },
    async close() {
      await Promise.all([owner.end(), runtime.end()]);
      await close();
    },
  };
}
