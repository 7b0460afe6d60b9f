/** Whether a fault means that the database is not there now, as opposed to refusing what it was asked. */

import { ServiceError } from '../errors.ts';

/** SQLSTATE classes: connection, resources (no space, too many connections), operator intervention, system. */
const AWAY_STATE = /^(08|53|57P0|58)/;
const AWAY_SYSTEM = /^(ECONNREFUSED|ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/;
/** What the driver says without a code, and the server of a database that lets nobody in for now (SQLSTATE 55000 says more than that). */
const AWAY_WORDS =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed)|is not currently accepting connections/;

/**
 * True where the same request may succeed once the database is back. A fault that another one was caused by counts too; a
 * ServiceError never does: it has its own meaning, and may stem from another server.
 */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof ServiceError) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return (
    AWAY_STATE.test(code) ||
    AWAY_SYSTEM.test(code) ||
    AWAY_WORDS.test(error.message) ||
    isDatabaseAway(error.cause)
  );
}
