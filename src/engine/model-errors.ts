/** Says what went wrong with a model's provider in our codes, without its secrets and without its pages. */

import { ServiceError } from '../errors.ts';

const LONGEST_DETAIL = 200;

/** Makes a provider's words short, one line, and free of the given key and of anything that looks like one. */
export function scrub(text: string, apiKey: string): string {
  const withoutOurKey = apiKey === '' ? text : text.replaceAll(apiKey, '***');
  const clean = withoutOurKey
    .replace(/\b(?:sk|pk|rk)-[^\s'",]+/g, '***')
    .replace(/\bBearer\s+[^\s'",]+/gi, 'Bearer ***')
    .replace(/\s+/g, ' ')
    .trim();
  return clean.length > LONGEST_DETAIL ? `${clean.slice(0, LONGEST_DETAIL - 1)}…` : clean;
}

/** The `message` of a provider's error object, scrubbed; '' if there is none (an HTML page is never repeated). */
export function providerMessage(error: unknown, apiKey: string): string {
  if (typeof error === 'string') return scrub(error, apiKey);
  if (typeof error !== 'object' || error === null || !('message' in error)) return '';
  return typeof error.message === 'string' ? scrub(error.message, apiKey) : '';
}

/**
 * What the SDK's or another chat model's refusal means: by HTTP status where it has one, else a lost connection.
 * The thrown value is no `cause` where it may repeat a provider's body: causes are logged.
 */
export function refusalError(error: unknown, apiKey: string): ServiceError {
  if (error instanceof ServiceError) return error;
  const status = statusOf(error);
  if (status === undefined) {
    const cause = error instanceof Error ? error.cause : undefined;
    return new ServiceError('MODEL_UNAVAILABLE', unreachable(cause), { cause });
  }
  const body = typeof error === 'object' && error !== null && 'error' in error ? error.error : undefined;
  const message = providerMessage(body, apiKey);
  const detail = message === '' ? '' : ` It says: ${message}`;
  if (status === 429) {
    return new ServiceError(
      'MODEL_RATE_LIMITED',
      `The model provider limits our requests (status 429). Try again in a moment.${detail}`,
    );
  }
  // 408 and 409 are a provider's own time-outs and locks: as passing as its 5xx.
  if (status >= 400 && status < 500 && status !== 408 && status !== 409) {
    return new ServiceError(
      'MODEL_REFUSED',
      `The model provider refused the request (status ${status}). Check OPENAI_API_KEY and OPENAI_MODEL.${detail}`,
      { retryable: false },
    );
  }
  if (status >= 300 && status < 400) {
    return new ServiceError(
      'MODEL_UNAVAILABLE',
      `The model endpoint redirects (status ${status}), which is not followed. Set OPENAI_BASE_URL to the address that answers.`,
      { retryable: false },
    );
  }
  return new ServiceError(
    'MODEL_UNAVAILABLE',
    `The model provider failed (status ${status}). Try again.${detail}`,
  );
}

/** Why nobody answered, as far as the operator can do something about it. */
function unreachable(cause: unknown): string {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/.test(code)) {
    return `The certificate of the model endpoint cannot be trusted (${code}). Check OPENAI_BASE_URL, or name the certificate's issuer in NODE_EXTRA_CA_CERTS.`;
  }
  if (/^(EPROTO|ERR_SSL_)/.test(code)) {
    return 'The model endpoint does not speak TLS as it should. Check whether OPENAI_BASE_URL begins with http:// or https://.';
  }
  if (code === 'ENOTFOUND') return 'The host of the model endpoint is not known. Check OPENAI_BASE_URL.';
  return 'The model provider could not be reached. Try again; if it stays so, check OPENAI_BASE_URL.';
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('status' in error)) return undefined;
  return typeof error.status === 'number' ? error.status : undefined;
}

/** Why a call was aborted: the signal's own reason, if that is an Error. */
export function abortError(signal: AbortSignal): Error {
  return signal.reason instanceof Error
    ? signal.reason
    : new DOMException('The model call was aborted.', 'AbortError');
}
