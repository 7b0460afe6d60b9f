/** The one error the client throws for an answer: what the service refused, or that the answer was not what it should be. */

/** `status` is the HTTP status, or 0 where a stream itself was at fault (`NOT_A_STREAM`, `BAD_FRAME`, `FRAME_TOO_LARGE`). */
export class ClientError extends Error {
  readonly status: number;
  /** The service's code (`TURN_RUNNING`, …), `HTTP_<status>` where it gave none. */
  readonly code: string;
  /** The parsed body, with the facts that help to act (`approvals`, `winner`, …); text where it was no JSON. */
  readonly body: unknown;
  /** Seconds after which the same call may be tried again, where the service said so. */
  readonly retryAfter: number | null;

  constructor(
    status: number,
    code: string,
    message: string,
    options: { body?: unknown; retryAfter?: number | null; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'ClientError';
    this.status = status;
    this.code = code;
    this.body = options.body;
    this.retryAfter = options.retryAfter ?? null;
  }
}

/** Reads a refusal: the body is consumed. A body that cannot be read still gives an error with its status. */
export async function readError(response: Response): Promise<ClientError> {
  const text = await response.text().catch(() => '');
  const body = parseJson(text);
  const retryAfter = response.headers.get('retry-after');
  return new ClientError(
    response.status,
    textField(body, 'detail') ?? `HTTP_${response.status}`,
    textField(body, 'message') ?? `The service answered ${response.status}.`,
    { body, retryAfter: retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function textField(body: unknown, name: 'detail' | 'message'): string | null {
  if (typeof body !== 'object' || body === null) return null;
  const value = new Map<string, unknown>(Object.entries(body)).get(name);
  return typeof value === 'string' ? value : null;
}
