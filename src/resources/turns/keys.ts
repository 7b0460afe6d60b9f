/** Idempotency-Keys of the chat: the same key and body join what the first request began, from its first event. */

import type { Queryable } from '../../db/pipeline.ts';
import { ServiceError } from '../../errors.ts';
import type { AcceptRequest } from '../../runtime/ports.ts';
import type { Begun } from '../../runtime/turn.ts';

export type ChatKey = NonNullable<AcceptRequest['idempotency']>;

/** Where a repeat begins to read; null where the key is new. Throws `IDEMPOTENCY_MISMATCH` where the body was another. */
export async function findBegun(
  client: Queryable,
  { principal, key, bodyHash }: ChatKey,
): Promise<Begun | null> {
  const { rows } = await client.query<{
    body_hash: string;
    turn_id: string;
    conversation_id: string;
    run_id: string;
    first_seq: string;
  }>(
    `select k.body_hash, t.id as turn_id, t.conversation_id, coalesce(k.response->>'run_id', t.run_id::text) as run_id,
            coalesce((k.response->>'first_seq')::bigint, t.first_seq) as first_seq
       from idempotency_keys k join turns t on t.id = k.turn_id
      where k.principal = $1 and k.route = 'chat' and k.key = $2`,
    [principal, key],
  );
  const row = rows[0];
  if (row === undefined) return null;
  if (row.body_hash !== bodyHash) {
    throw new ServiceError(
      'IDEMPOTENCY_MISMATCH',
      'This Idempotency-Key was used with another body. Use a new key for a new request.',
    );
  }
  return {
    threadId: row.conversation_id,
    turnId: row.turn_id,
    runId: row.run_id,
    firstSeq: Number(row.first_seq),
  };
}

/** Keeps the key of a decision, inside the transaction that records it: its events begin in the middle of the turn. */
export async function keepBegun(
  client: Queryable,
  workspaceId: string,
  { principal, key, bodyHash }: ChatKey,
  { turnId, runId, firstSeq }: Omit<Begun, 'threadId'>,
): Promise<void> {
  await client.query(
    `insert into idempotency_keys (workspace_id, principal, route, key, body_hash, turn_id, response)
     values ($1, $2, 'chat', $3, $4, $5, $6)`,
    [workspaceId, principal, key, bodyHash, turnId, JSON.stringify({ run_id: runId, first_seq: firstSeq })],
  );
}
