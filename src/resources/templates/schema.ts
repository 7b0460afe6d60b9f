/** What is said of templates: reusable texts with {{variables}}. */

import { z } from 'zod';
import { line, text } from '../text.ts';

export const template = z.object({
  template_id: z.uuid(),
  user_id: z.string(),
  name: z.string(),
  subject: z.string(),
  body: z.string(),
  variables: z.array(z.string()),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
export type Template = z.output<typeof template>;

const name = line.trim().min(1).max(255);
const subject = line.min(1).max(998);
const body = text.min(1).max(50_000);

export const createTemplateBody = z.strictObject({ name, subject, body });

/** Only what is given changes; null changes nothing. */
export const updateTemplateBody = z.strictObject({
  name: name.nullish(),
  subject: subject.nullish(),
  body: body.nullish(),
});

/** By page, or by cursor where one is given; `limit` is another name of `page_size`. */
export const listTemplatesQuery = z.object({
  page: z.coerce.number().int().min(1).max(100_000).default(1),
  page_size: z.coerce.number().int().min(1).max(100).default(50),
  limit: z.coerce.number().int().min(1).max(100).optional(),
  cursor: z.string().max(500).optional(),
});

export const templateList = z.object({
  templates: z.array(template),
  items: z.array(template),
  total: z.int(),
  page: z.int(),
  page_size: z.int(),
  next_cursor: z.string().nullable(),
  has_more: z.boolean(),
});
