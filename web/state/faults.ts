/** What went wrong with a request, in words for a person and as facts for the page. */

import { ClientError } from '../../src/client/errors.ts';

export interface Fault {
  /** The service's code, or `OFFLINE` where it could not be reached. */
  code: string;
  message: string;
  /** Whether the same request may go through later. */
  passing: boolean;
}

/** Reads anything thrown by the client. */
export function faultOf(error: unknown): Fault {
  if (error instanceof ClientError) {
    return { code: error.code, message: error.message, passing: error.status >= 500 || error.status === 429 };
  }
  return { code: 'OFFLINE', message: 'The service cannot be reached.', passing: true };
}

/** The field of an error's body, where there is one. */
export function factOf<Value>(error: unknown, name: string): Value | null {
  if (!(error instanceof ClientError) || typeof error.body !== 'object' || error.body === null) return null;
  return (new Map<string, unknown>(Object.entries(error.body)).get(name) as Value | undefined) ?? null;
}
