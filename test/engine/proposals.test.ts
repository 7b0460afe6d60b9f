/** What a model is told of the tools, and what stays the whole truth on a card. */

import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createToolBox, schemaOf } from '../../src/engine/proposals.ts';
import { tool } from '../../src/tools/tool.ts';

const schema = z.strictObject({
  lead_id: z.uuid().describe('Which lead.'),
  code: z.string().regex(/^[A-Z]{3}$/),
  steps: z.array(z.strictObject({ to: z.email(), at: z.iso.datetime() })).optional(),
});
const change = tool({
  name: 'change',
  description: 'Changes something.',
  schema,
  untrusted: false,
  effect: 'inside',
  async propose() {
    throw new Error('nobody proposes here');
  },
  async runWithin() {
    throw new Error('nothing is carried out here');
  },
});

describe('the tools as a model is told of them', () => {
  it('have formats without their long expressions, and expressions where no format says the same', () => {
    const told = createToolBox([change]).forModel[0]?.parameters;
    expect(told).toMatchObject({
      additionalProperties: false,
      required: ['lead_id', 'code'],
      properties: {
        lead_id: { type: 'string', format: 'uuid', description: 'Which lead.' },
        code: { type: 'string', pattern: '^[A-Z]{3}$' },
        steps: {
          items: {
            properties: {
              to: { type: 'string', format: 'email' },
              at: { type: 'string', format: 'date-time' },
            },
          },
        },
      },
    });
    expect(JSON.stringify(told).match(/"pattern"/g)).toHaveLength(1);
    expect(JSON.stringify(told).length).toBeLessThan(JSON.stringify(schemaOf(change)).length / 1.5);
  });

  it('keep their whole schema for the cards', () => {
    const whole = schemaOf(change);
    expect(JSON.stringify(whole).match(/"pattern"/g)).toHaveLength(4);
    expect(schemaOf(change)).toBe(whole);
  });
});
