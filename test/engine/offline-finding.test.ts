/** The offline model finds leads and addresses with the tools for that. */

import { describe, expect, it } from 'vitest';
import { nextStep } from '../../src/engine/offline/next-step.ts';
import type { ChatRequest, Row } from '../../src/engine/offline/scene.ts';

const TOOLS = [
  'search_leads',
  'find_leads',
  'find_email',
  'verify_email',
  'personalize_email',
  'send_email',
  'suppress_email',
  'preflight_campaign',
];

type Messages = ChatRequest['messages'];

function ask(messages: Messages, tools = TOOLS) {
  return nextStep({ messages, tools: tools.map((name) => ({ function: { name } })) });
}

function first(words: string, tools = TOOLS) {
  return ask([{ role: 'user', content: words }], tools);
}

/** The words after the tool answered `result`. */
function told(words: string, result: Row): string {
  const [call] = first(words).toolCalls ?? [];
  if (call === undefined) throw new Error('no tool is called');
  const toolCall = { id: 'call', function: { name: call.name, arguments: JSON.stringify(call.args) } };
  const step = ask([
    { role: 'user', content: words },
    { role: 'assistant', content: null, tool_calls: [toolCall] },
    { role: 'tool', tool_call_id: 'call', content: JSON.stringify(result) },
  ]);
  return step.text ?? '';
}

describe('the best leads', () => {
  it.each<[string, Row]>([
    ['Find the best CTOs in Berlin', { title: 'CTO', location: 'Berlin' }],
    ['find me the 5 best CTOs in Berlin', { title: 'CTO', location: 'Berlin', limit: 5 }],
    [
      'Find the best 3 prospects for marketing managers at Crosby Inc',
      {
        title: 'marketing manager',
        company: 'Crosby Inc',
        limit: 3,
      },
    ],
    ['rank my best leads in Paris', { location: 'Paris' }],
    ['find the best match', { keywords: 'match' }],
  ])('are looked for with find_leads: %s', (words, args) => {
    expect(first(words).toolCalls).toEqual([{ name: 'find_leads', args }]);
  });

  it('are told with how well they fit, and what that cost', () => {
    const leads = [{ name: 'Ada | Lovelace', email: 'ada@acme.example', title: 'CTO', confidence: 0.8 }];
    const text = told('Find the best CTOs in Berlin', { source: 'outside', credits: 3, leads });
    expect(text).toContain('The best 1 lead with the title CTO in Berlin; it cost 3 credits:');
    expect(text).toContain('| Ada \\| Lovelace | ada@acme.example | CTO | 80 % |');
    expect(told('Find the best CTOs in Berlin', { credits: 0, leads: [] })).toBe(
      'I found no lead with the title CTO in Berlin.',
    );
    expect(
      told('Find the best CTOs in Berlin', { status: 'error', error: { code: 'X', message: 'No credits.' } }),
    ).toContain('No credits.');
  });

  it('can be written to next', () => {
    const leads = [{ lead_id: 'lead-1', name: 'Ada Lovelace', email: 'ada@acme.example' }];
    const messages: Messages = [
      { role: 'user', content: 'Find the best CTOs in Berlin' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'call', function: { name: 'find_leads', arguments: '{"title":"CTO"}' } }],
      },
      { role: 'tool', tool_call_id: 'call', content: JSON.stringify({ credits: 0, leads }) },
      { role: 'assistant', content: 'The best 1 lead.' },
      { role: 'user', content: 'write an email to the first one' },
    ];
    expect(ask(messages).toolCalls).toMatchObject([
      { name: 'personalize_email', args: { lead_id: 'lead-1' } },
    ]);
  });

  it('are not promised where the tool is missing', () => {
    expect(first('Find the best CTOs in Berlin', ['search_leads']).toolCalls ?? []).not.toContainEqual(
      expect.objectContaining({ name: 'find_leads' }),
    );
  });
});

describe('an address', () => {
  it.each<[string, Row]>([
    [
      'Find the email address of Ada Lovelace at acme.example',
      { name: 'Ada Lovelace', domain: 'acme.example' },
    ],
    ['what is the e-mail of Ada Lovelace at Acme Inc?', { name: 'Ada Lovelace', company: 'Acme Inc' }],
    [
      'Guess the work email for "Ada Lovelace" from acme.co.uk',
      { name: 'Ada Lovelace', domain: 'acme.co.uk' },
    ],
  ])('is looked for with find_email: %s', (words, args) => {
    expect(first(words).toolCalls).toEqual([{ name: 'find_email', args }]);
  });

  it('is told for what it is: known, likely or not found', () => {
    const words = 'Find the email address of Ada Lovelace at acme.example';
    const found = { found: true, email: 'alovelace@acme.example', confidence: 0.6, credits: 3 };
    expect(told(words, { ...found, result: 'unverified' })).toBe(
      'The address of **Ada Lovelace** is probably alovelace@acme.example (60 % sure, by the pattern of known addresses). Nobody has verified it; it cost 3 credits.',
    );
    expect(told(words, { ...found, result: 'known', credits: 0 })).toBe(
      '**Ada Lovelace** is among your leads: alovelace@acme.example.',
    );
    expect(told(words, { found: false, error: 'No known address of acme.example shows it.' })).toBe(
      'I found no address of Ada Lovelace. No known address of acme.example shows it.',
    );
  });
});

describe('whether mail reaches an address', () => {
  it.each([
    'verify Maria@acme.example',
    'Please verify the address Maria@acme.example.',
    'check the email address <Maria@acme.example>',
    'Can you validate "Maria@acme.example"?',
    'Is Maria@acme.example a valid address?',
    'is Maria@acme.example deliverable',
    'check whether Maria@acme.example exists',
    'Does Maria@acme.example exist?',
    'find out if Maria@acme.example can receive mail',
  ])('is asked with verify_email: %s', (words) => {
    expect(first(words).toolCalls).toEqual([{ name: 'verify_email', args: { email: 'Maria@acme.example' } }]);
  });

  it.each(['verify the Q4 campaign', 'stop mailing maria@acme.example', 'is maria@acme.example a lead?'])(
    'is not what is asked by: %s',
    (words) => {
      expect((first(words).toolCalls ?? []).map(({ name }) => name)).not.toContain('verify_email');
    },
  );

  it('is told with the reasons and the price, and never as more than is known', () => {
    const reasons = [
      { code: 'MAIL_SERVER', message: 'The domain names mail servers.' },
      { code: 'MAILBOX_NOT_ASKED', message: 'Whether this mailbox exists is not known.' },
    ];
    const judged = { email: 'maria@acme.example', result: 'valid', reasons, cached: false, credits: 1 };
    expect(told('verify maria@acme.example', judged)).toBe(
      '**maria@acme.example** is valid; it cost 1 credit.\n\nThe domain names mail servers. Whether this mailbox exists is not known.',
    );
    expect(told('verify maria@acme.example', { ...judged, cached: true, credits: 0 })).toContain(
      'This was known here already, so nothing was charged.',
    );
    const silent = [{ code: 'DNS_UNANSWERED', message: 'The DNS did not answer in time.' }];
    expect(
      told('verify maria@acme.example', { ...judged, result: 'unknown', reasons: silent, credits: 0 }),
    ).toBe(
      'Whether mail reaches **maria@acme.example** could not be found out.\n\nThe DNS did not answer in time.\n\nNothing was charged; try again later.',
    );
  });
});
