/** What the page says of cards, edits, tools and days: words made of facts. */

import { describe, expect, it } from 'vitest';
import type { Approval, ToolPart } from '../../src/client/events.ts';
import {
  actLabel,
  expiryOf,
  nameIn,
  nextOf,
  numberToType,
  outcomeOf,
  whoDecided,
} from '../../web/logic/card.ts';
import { byDay, dayLabel, relative } from '../../web/logic/days.ts';
import { diffWords, fold } from '../../web/logic/diff.ts';
import { amountsOf, captionsOf, layOut, sumOf } from '../../web/logic/facts.ts';
import { fieldsOf, fromInput, toInput } from '../../web/logic/fields.ts';
import { columnsOf, funnelOf, toolName, toolSummary } from '../../web/logic/tools.ts';

function approvalOf(changes: Partial<Approval> = {}): Approval {
  return {
    approval_id: 'a1',
    thread_id: 't1',
    turn_id: 'u1',
    tool_call_id: 'c1',
    tool: 'launch_campaign',
    kind: 'proposal',
    title: 'Launch "Q4" to 2 leads',
    reason: '',
    args: {},
    args_hash: 'h',
    args_schema: {},
    facts: [],
    warnings: [],
    preview: [],
    consequence: '',
    allowed_decisions: ['approve', 'reject'],
    status: 'pending',
    created_at: '2026-11-02T10:00:00.000Z',
    expires_at: '2026-11-05T10:00:00.000Z',
    ...changes,
  };
}

const facts = (values: Record<string, string>) =>
  Object.entries(values).map(([label, value]) => ({ label, value }));

describe('a card', () => {
  it('reads its amounts out of its facts', () => {
    expect(amountsOf(facts({ Recipients: '1,228 of 2,000 leads', Credits: '40 of 1000 available' }))).toEqual(
      {
        recipients: 1228,
        credits: 40,
        balance: 1000,
      },
    );
    expect(amountsOf(facts({ Price: 'at most 15 credits' }))).toMatchObject({ credits: 15, balance: null });
    expect(amountsOf(facts({ Price: 'free' }))).toMatchObject({ credits: null });
  });

  it('asks for the number above 500 recipients, or a quarter of the balance', () => {
    const typed = (values: Record<string, string>, available: number | null = null) =>
      numberToType(approvalOf({ facts: facts(values) }), available)?.number ?? null;
    expect(typed({ Recipients: '500 of 600 leads' })).toBeNull();
    expect(typed({ Recipients: '501 of 600 leads' })).toBe(501);
    expect(typed({ Credits: '250 of 1000 available' })).toBeNull();
    expect(typed({ Credits: '251 of 1000 available' })).toBe(251);
    expect(typed({ Price: 'at most 30 credits' }, 100)).toBe(30);
    expect(typed({ Price: 'at most 30 credits' })).toBeNull();
  });

  it('names the act in its button', () => {
    expect(actLabel(approvalOf({ facts: facts({ Recipients: '228 of 240 leads' }) }))).toBe(
      'Launch to 228 leads',
    );
    expect(actLabel(approvalOf({ facts: facts({ Recipients: '1 of 1 leads' }) }))).toBe('Launch to 1 lead');
    const to = 'Ines Keller <ines@solaris.example>';
    expect(actLabel(approvalOf({ tool: 'send_email', preview: [{ to }] }))).toBe('Send to Ines Keller');
    expect(actLabel(approvalOf({ tool: 'find_leads', facts: facts({ Price: 'at most 15 credits' }) }))).toBe(
      'Spend 15 credits',
    );
    expect(nameIn('<ines@solaris.example>')).toBe('ines@solaris.example');
  });

  it('lays its facts out: numbers that decide first, the words of the previews with the previews', () => {
    const { headline, rows, caption } = layOut(
      facts({
        Campaign: 'Q4',
        'First mail': 'Mon',
        Recipients: '58',
        Credits: '0',
        Sender: 'Alex',
        'Shown below': '2 mails to the first lead; then 1 mail to the lead with most fields missing',
      }),
    );
    expect(headline.map((fact) => fact.label)).toEqual(['Recipients', 'Credits', 'First mail']);
    expect(rows.map((fact) => fact.label)).toEqual(['Campaign', 'Sender']);
    expect(captionsOf(caption)).toEqual([
      'the first lead',
      'the first lead',
      'the lead with most fields missing',
    ]);
    expect(captionsOf(null)).toEqual([]);
    expect(layOut(facts({ Price: 'free', Where: 'own data' })).headline).toEqual([]);
  });

  it('sums up several', () => {
    const mail = approvalOf({ tool: 'send_email' });
    const find = approvalOf({ tool: 'find_leads', facts: facts({ Price: 'at most 15 credits' }) });
    expect(sumOf([mail, mail, find])).toBe('2 recipients, 15 credits');
    expect(sumOf([approvalOf({ tool: 'save_prompt' })])).toBe('');
  });

  it('says when it ends, who decided and what came of it', () => {
    const ends = Date.parse('2026-11-05T10:00:00.000Z');
    expect([ends - 3_600_001, ends - 3_599_999, ends].map((now) => expiryOf(approvalOf(), now))).toEqual([
      'far',
      'near',
      'over',
    ]);
    expect(whoDecided('user:dana', 'dana')).toBe('You');
    expect(whoDecided('user:dana', 'erin')).toBe('dana');
    expect(whoDecided('key:0123456789abcdef', undefined)).toBe('An API key (01234567)');
    const call = (changes: Partial<ToolPart>): ToolPart => ({
      type: 'tool',
      call: 1,
      tool_call_id: 'c1',
      name: 'launch_campaign',
      args: {},
      status: 'ok',
      ...changes,
    });
    const approved = approvalOf({ status: 'approved' });
    expect(outcomeOf(approved, call({ result: { recipients: 58 } })).words).toBe('Launched: 58 recipients.');
    expect(outcomeOf(approved, call({ status: 'unknown' })).tone).toBe('bad');
    expect(outcomeOf(approved, undefined).tone).toBe('busy');
    expect(outcomeOf(approved, undefined, 'proposal').words).toContain('a new card asks again');
    expect(outcomeOf(approvalOf({ status: 'rejected' }), undefined).words).toBe(
      'Nothing was sent, spent or changed.',
    );
    const later = approvalOf({ approval_id: 'a2', kind: 'outcome', created_at: '2026-11-02T11:00:00.000Z' });
    expect(nextOf(approvalOf(), [later, approvalOf()])).toBe('outcome');
    expect(nextOf(later, [later, approvalOf()])).toBeNull();
  });
});

describe('an edit', () => {
  const schema = {
    properties: {
      subject: { type: 'string', maxLength: 200 },
      body: { type: 'string', maxLength: 50_000 },
      daily_limit: { anyOf: [{ type: 'integer', minimum: 1, maximum: 500 }, { type: 'null' }] },
      lead_id: { type: 'string', format: 'uuid' },
      tags: { type: 'array', items: { type: 'string' } },
      loud: { type: 'boolean' },
    },
    required: ['subject', 'body'],
  };
  const args = { subject: 'Hello', body: 'Hello\nyou', lead_id: 'x', tags: ['a', 'b'], daily_limit: 40 };
  const fields = fieldsOf(schema, args);
  const field = (name: string) => fields.find((one) => one.name === name) ?? expect.unreachable(name);

  it('has fields of the types that the schema gives, the short ones first', () => {
    expect(fields.map((one) => [one.name, one.kind])).toEqual([
      ['subject', 'line'],
      ['lead_id', 'line'],
      ['daily_limit', 'number'],
      ['loud', 'boolean'],
      ['body', 'text'],
      ['tags', 'list'],
    ]);
    expect(fields.filter((one) => one.technical).map((one) => one.name)).toEqual(['lead_id', 'loud']);
    const unset = fieldsOf({ properties: schema.properties }, { lead_id: 'x' });
    expect(unset.filter((one) => one.technical).map((one) => one.name)).toEqual(['lead_id']);
  });

  it('keeps numbers numbers and lists lists', () => {
    expect(toInput(field('daily_limit'), 40)).toBe('40');
    expect(fromInput(field('daily_limit'), '25')).toBe(25);
    expect(fromInput(field('daily_limit'), '')).toBeUndefined();
    for (const wrong of ['0', '501', '2.5', 'many'])
      expect(() => fromInput(field('daily_limit'), wrong)).toThrow();
    expect(fromInput(field('tags'), ' a \n\nc ')).toEqual(['a', 'c']);
    expect(() => fromInput(field('subject'), ' ')).toThrow('empty');
    expect(fromInput(field('loud'), 'true')).toBe(true);
  });

  it('is told word by word, and what lies far from it is folded', () => {
    const words = Array.from({ length: 60 }, (_, index) => `word${index}`).join(' ');
    const pieces = diffWords(`${words} next week ${words}`, `${words} on Thursday ${words}`);
    expect(pieces.filter((one) => one.kind !== 'same')).toEqual([
      { kind: 'old', text: 'next week' },
      { kind: 'new', text: 'on Thursday' },
    ]);
    expect(
      pieces
        .filter((one) => one.kind !== 'new')
        .map((one) => one.text)
        .join(''),
    ).toBe(`${words} next week ${words}`);
    const folded = fold(pieces);
    expect(folded[0]?.text).toMatch(/^… .*word59 $|^ … .*word59 $/);
    expect(folded[0]?.text).not.toContain('word0 ');
    expect(diffWords('same', 'same')).toEqual([{ kind: 'same', text: 'same' }]);
    expect(diffWords('', 'new')).toEqual([{ kind: 'new', text: 'new' }]);
  });
});

describe('a tool call', () => {
  const part = (changes: Partial<ToolPart>): ToolPart => ({
    type: 'tool',
    call: 1,
    tool_call_id: 'c1',
    name: 'search_leads',
    args: {},
    status: 'running',
    ...changes,
  });

  it('is named in words, and so is what came of it', () => {
    expect(toolName(part({}))).toBe('Searching leads');
    expect(toolName(part({ status: 'ok' }))).toBe('Searched leads');
    expect(toolName(part({ name: 'frobnicate_now' }))).toBe('Frobnicate now');
    expect(toolSummary(part({ args: { query: 'CTO', limit: 5, lead_id: 'x' } }))).toBe('CTO');
    expect(toolSummary(part({ status: 'ok', result: { total: 23, leads: [{ name: 'Ana' }] } }))).toBe(
      '23 leads',
    );
    expect(toolSummary(part({ status: 'ok', result: { total: 1, campaigns: [{}] } }))).toBe('1 campaign');
    expect(
      toolSummary(part({ name: 'get_campaign_stats', status: 'ok', result: { steps: [], name: 'Q4' } })),
    ).toBe('Q4');
    expect(
      toolSummary(
        part({ status: 'error', error: { code: 'TOOL_FAILED', message: 'No.', retryable: false } }),
      ),
    ).toBe('No.');
  });

  it('shows the columns worth seeing, and figures as a funnel', () => {
    expect(columnsOf([{ lead_id: 'x', email: 'e', name: 'Ana', first_name: 'Ana', city: '', n: 1 }])).toEqual(
      ['name', 'email', 'n'],
    );
    expect(funnelOf({ sent: 10, opened: 4, replied: 1 })?.map((stage) => stage.value)).toEqual([10, 4, 1]);
    expect(funnelOf({ opened: 4 })).toBeNull();
  });
});

describe('days', () => {
  const now = new Date(2026, 10, 18, 15, 0).getTime();
  const at = (day: number, hour = 12) => new Date(2026, 10, day, hour).toISOString();

  it('are told as people do', () => {
    expect([at(18, 0), at(17, 23), at(16), at(2)].map((day) => dayLabel(day, now).length > 0)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(dayLabel(at(18, 1), now)).toBe('Today');
    expect(dayLabel(at(17, 23), now)).toBe('Yesterday');
    expect(byDay([at(18), at(18, 1), at(17)], (one) => one, now).map((day) => day.items.length)).toEqual([
      2, 1,
    ]);
    expect(relative(new Date(now - 10_000).toISOString(), now)).toBe('just now');
    expect(relative(new Date(now + 3 * 3_600_000).toISOString(), now)).toBe('in 3 hours');
    expect(relative(new Date(now - 2 * 86_400_000).toISOString(), now)).toBe('2 days ago');
  });
});
