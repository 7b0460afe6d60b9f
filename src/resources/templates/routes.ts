/** Templates over REST (contract, tag templates). */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import {
  createTemplateBody,
  listTemplatesQuery,
  template,
  templateList,
  updateTemplateBody,
} from './schema.ts';
import type { Templates } from './templates.ts';

const tag = 'templates';
const templateParams = z.object({ template_id: z.uuid() });

export function createTemplateRoutes(templates: Templates): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/templates/',
      operation: 'createTemplate',
      tag,
      summary: 'Create a template',
      access: 'write',
      body: createTemplateBody,
      answers: { 201: template },
      handle: async ({ caller, body }) => ({ status: 201, body: await templates.create(caller, body) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/templates/',
      operation: 'listTemplates',
      tag,
      summary: 'List templates, newest first',
      access: 'read',
      query: listTemplatesQuery,
      answers: { 200: templateList },
      handle: async ({ caller, query }) => ({ status: 200, body: await templates.list(caller, query) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/templates/{template_id}',
      operation: 'getTemplate',
      tag,
      summary: 'Read a template',
      access: 'read',
      params: templateParams,
      answers: { 200: template },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await templates.get(caller, params.template_id),
      }),
    }),
    route({
      method: 'PATCH',
      path: '/api/v1/templates/{template_id}',
      operation: 'updateTemplate',
      tag,
      summary: 'Change the given fields of a template',
      access: 'write',
      params: templateParams,
      body: updateTemplateBody,
      answers: { 200: template },
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await templates.update(caller, params.template_id, body),
      }),
    }),
    route({
      method: 'DELETE',
      path: '/api/v1/templates/{template_id}',
      operation: 'deleteTemplate',
      tag,
      summary: 'Delete a template',
      access: 'write',
      params: templateParams,
      answers: { 204: 'empty' },
      handle: async ({ caller, params }) => {
        await templates.remove(caller, params.template_id);
        return { status: 204 };
      },
    }),
  ];
}
