/** What is said of leads. */

import { z } from 'zod';
import { line } from '../text.ts';

const words = line.trim().max(200);

/** What a search can name; everything given must hold. */
export const leadFilters = {
  query: words
    .optional()
    .describe('Words in name, company, job title, city, country or e-mail; the last may be a beginning.'),
  name: words.optional().describe("Words of the person's name."),
  company: words.optional().describe('Company, or a part of its name.'),
  title: words.optional().describe('Job title, or a part of it.'),
  city: words.optional().describe('City, or a part of it.'),
  email: line.trim().max(254).optional().describe('E-mail address, or a part of it.'),
  dataset_id: z.uuid().optional(),
};

export const listLeadsQuery = z.object({
  ...leadFilters,
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z.string().max(500).optional(),
});

export const foundLead = z.object({
  lead_id: z.uuid(),
  email: z.string(),
  first_name: z.string().nullable(),
  last_name: z.string().nullable(),
  name: z.string().nullable(),
  company: z.string().nullable(),
  title: z.string().nullable(),
  city: z.string().nullable(),
  country: z.string().nullable(),
  dataset_id: z.uuid(),
  suppressed: z.boolean(),
});
export type FoundLead = z.output<typeof foundLead>;

export const lead = foundLead.extend({
  website: z.string().nullable(),
  phone: z.string().nullable(),
  row: z.int(),
  data: z.record(z.string(), z.string()),
  created_at: z.iso.datetime(),
});
export type Lead = z.output<typeof lead>;

export const leadList = z.object({
  leads: z.array(foundLead),
  items: z.array(foundLead),
  total: z.int(),
  next_cursor: z.string().nullable(),
  has_more: z.boolean(),
});
