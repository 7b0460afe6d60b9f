/** What this installation can do, as flags that the page reads (contract, tag capabilities). */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';

/** Flags by name. `sandbox`: mail is kept and not sent; `offline_model`: a stand-in answers in place of a model. */
export interface Capabilities {
  offline_model: boolean;
  sandbox: boolean;
  [flag: string]: boolean;
}

export function createCapabilityRoutes(capabilities: Capabilities): Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/v1/capabilities',
      operation: 'getCapabilities',
      tag: 'capabilities',
      summary: 'Feature flags, as they hold for the caller',
      access: 'read',
      answers: { 200: z.record(z.string(), z.boolean()) },
      // A sandbox key stays in the sandbox whatever is configured.
      handle: async ({ caller }) => ({
        status: 200,
        body: { ...capabilities, sandbox: capabilities.sandbox || caller.sandbox },
      }),
    }),
  ];
}
