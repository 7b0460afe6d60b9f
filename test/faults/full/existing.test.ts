/** Promises whose full numbers are in suites that `npm test` runs as well: each of their tests is a try. */

import { describe } from 'vitest';

describe('P3: campaign mails: the dispatcher is killed at each of its statements (tests)', async () => {
  await import('../../jobs/dispatcher-kills.test.ts');
});

describe('P14: every route, tool and list with ids of another workspace (tests)', async () => {
  await import('../../security/isolation.test.ts');
});

describe('P15: 720 injections against a model that obeys each word (tests)', async () => {
  await import('../../security/injection.test.ts');
});

describe('P18: canaries in answers, rows, log lines and requests to the model (tests)', async () => {
  await import('../../security/secrets.test.ts');
});
