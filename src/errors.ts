/** The one error that crosses rooms: a code, a status, and a sentence that says what to do. */

/** Every code the service can answer with, and its HTTP status. The README's table is held to this list by a test. */
export const ERROR_STATUS = {
  INVALID_JSON: 400,
  INVALID_UPLOAD: 400,
  INVALID_MAIL: 400,
  UNAUTHORIZED: 401,
  NOT_ENOUGH_CREDITS: 402,
  FORBIDDEN: 403,
  ORIGIN_REFUSED: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  TURN_RUNNING: 409,
  TURN_NOT_LIVE: 409,
  APPROVAL_PENDING: 409,
  NOTHING_PENDING: 409,
  ALREADY_DECIDED: 409,
  AMBIGUOUS_DECISION: 409,
  APPROVAL_CHANGED: 409,
  STALE_PROPOSAL: 409,
  CONVERSATION_ARCHIVED: 409,
  ALREADY_EXISTS: 409,
  LIMIT_REACHED: 409,
  CAMPAIGN_STATE: 409,
  ALREADY_SENT: 409,
  IDEMPOTENCY_IN_FLIGHT: 409,
  IDEMPOTENCY_OUTCOME_UNKNOWN: 409,
  LEASE_LOST: 409,
  APPROVAL_EXPIRED: 410,
  BODY_TOO_LARGE: 413,
  UPLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  VALIDATION_ERROR: 422,
  IDEMPOTENCY_MISMATCH: 422,
  INVALID_CSV: 422,
  RECIPIENT_SUPPRESSED: 422,
  RECIPIENT_REPLIED: 422,
  RECIPIENT_NOT_ALLOWED: 422,
  RECIPIENT_INVALID: 422,
  NO_SENDER_PROFILE: 422,
  CAMPAIGN_NOT_READY: 422,
  RATE_LIMITED: 429,
  TOO_MANY_STREAMS: 429,
  INTERNAL_ERROR: 500,
  NOT_SUPPORTED: 501,
  MODEL_UNAVAILABLE: 502,
  MODEL_REFUSED: 502,
  MODEL_RATE_LIMITED: 502,
  MODEL_STREAM_BROKEN: 502,
  MODEL_TIMEOUT: 504,
  MAIL_REFUSED: 502,
  MAIL_UNAVAILABLE: 502,
  EFFECT_UNKNOWN: 502,
  DRAINING: 503,
  SIGN_IN_UNAVAILABLE: 503,
  DATABASE_UNAVAILABLE: 503,
  BUDGET_EXHAUSTED: 500,
  TAKEOVER_LIMIT: 500,
  TOOL_FAILED: 500,
  UNKNOWN_TOOL: 500,
  INVALID_ARGUMENTS: 500,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** One fault of one input field, as the contract's validation envelope lists it. */
export interface ErrorDetail {
  /** Where the value sits: `body`, `query` or `path`, then the names down to it. */
  loc: (string | number)[];
  msg: string;
  type: string;
}

export interface ErrorOptions {
  cause?: unknown;
  /** Field faults of a 422. */
  details?: ErrorDetail[];
  /** Facts that help the caller to act, merged into the body (`approvals`, `winner`, …). */
  facts?: Record<string, unknown>;
  headers?: Record<string, string>;
  /** Whether the same call may succeed later without a change. */
  retryable?: boolean;
}

/** What a turn or a tool says of its failure on the wire. */
export interface ErrorFact {
  code: ErrorCode;
  message: string;
  retryable: boolean;
}

/** A refusal or failure that may be told to the caller. Anything else becomes `INTERNAL_ERROR`. */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly details: ErrorDetail[] | undefined;
  readonly facts: Record<string, unknown>;
  readonly headers: Record<string, string>;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'ServiceError';
    this.code = code;
    this.status = ERROR_STATUS[code];
    this.details = options.details;
    this.facts = options.facts ?? {};
    this.headers = options.headers ?? {};
    this.retryable = options.retryable ?? (this.status === 429 || this.status >= 502);
  }
}

/** What may be told of any thrown value: a ServiceError's own words, or nothing but `INTERNAL_ERROR`. */
export function errorFact(error: unknown): ErrorFact {
  if (error instanceof ServiceError) {
    return { code: error.code, message: error.message, retryable: error.retryable };
  }
  return {
    code: 'INTERNAL_ERROR',
    message: 'Something went wrong on our side. Try again; the request id helps us to find it.',
    retryable: true,
  };
}
