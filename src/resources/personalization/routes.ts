/** Personalization over REST (contract, tag personalization). */

import { type Route, route } from '../../http/route.ts';
import type { Personalization } from './personalization.ts';
import {
  defaultPrompt,
  effectivePrompt,
  effectivePromptQuery,
  previewBody,
  previewResult,
} from './schema.ts';

export function createPersonalizationRoutes(personalization: Personalization): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/personalize/preview',
      operation: 'previewPersonalization',
      tag: 'personalization',
      summary: 'Write one email now, without keeping it',
      access: 'write',
      body: previewBody,
      answers: { 200: previewResult },
      refusals: [
        'NOT_FOUND',
        'TOOL_FAILED',
        'MODEL_UNAVAILABLE',
        'MODEL_REFUSED',
        'MODEL_RATE_LIMITED',
        'MODEL_STREAM_BROKEN',
        'MODEL_TIMEOUT',
      ],
      handle: async ({ caller, body, gone }) => ({
        status: 200,
        body: await personalization.preview(caller, body, gone),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/personalize/default-prompt',
      operation: 'getDefaultPrompt',
      tag: 'personalization',
      summary: 'Stock prompt',
      access: 'read',
      answers: { 200: defaultPrompt },
      handle: async () => ({ status: 200, body: personalization.defaultPrompt() }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/personalize/effective-prompt',
      operation: 'getEffectivePrompt',
      tag: 'personalization',
      summary: 'Prompt the playground should open with',
      access: 'read',
      query: effectivePromptQuery,
      answers: { 200: effectivePrompt },
      refusals: ['NOT_FOUND'],
      handle: async ({ caller, query }) => ({
        status: 200,
        body: await personalization.effectivePrompt(caller, query.sender_profile_id),
      }),
    }),
  ];
}
