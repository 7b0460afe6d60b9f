/** Holds the offline model to its words about what came back: how it is asked, and how it is told. */

import { describe, expect, it } from 'vitest';
import { nextStep } from '../../src/engine/offline/next-step.ts';
import type { ChatRequest, Row } from '../../src/engine/offline/scene.ts';

const TOOLS = [
  'list_replies',
  'list_campaigns',
  'get_campaign',
  'get_campaign_stats',
  'search_leads',
  'list_outbox',
];
const Q4 = { campaign_id: 'campaign-1', name: 'Q4 campaign' };

function play(said: string, replies: Row = { total: 0, replies: [] }) {
  const messages: ChatRequest['messages'] = [{ role: 'user', content: said }];
  const calls: { name: string; args: Row }[] = [];
  for (let round = 0; round < 5; round += 1) {
    const step = nextStep({ messages, tools: TOOLS.map((name) => ({ function: { name } })) });
    if (step.toolCalls === undefined) return { calls, text: step.text };
    for (const [index, call] of step.toolCalls.entries()) {
      calls.push(call);
      const id = `call-${round}-${index}`;
      const content =
        call.name === 'list_campaigns'
          ? { total: 1, campaigns: [Q4] }
          : { __untrusted_third_party_content: true, content: replies };
      messages.push(
        {
          role: 'assistant',
          tool_calls: [{ id, function: { name: call.name, arguments: JSON.stringify(call.args) } }],
        },
        { role: 'tool', tool_call_id: id, content: JSON.stringify(content) },
      );
    }
  }
  throw new Error('the turn has no end');
}

const reply = {
  kind: 'reply',
  from_email: 'maureen@acme.example',
  from_name: 'Maureen | *Fuentes*',
  subject: 'Re: Maps',
  text: `Yes, gladly. ${'And more. '.repeat(30)}`,
  received_at: '2026-03-02T11:00:00.000Z',
};

describe('what the offline model understands of replies', () => {
  it.each<[string, Row]>([
    ['show me the replies', {}],
    ['Show me the latest 5 replies, please', { limit: 5 }],
    ['any new replies?', {}],
    ['are there any answers yet?', {}],
    ['list my responses', {}],
    ['what is in the inbox', {}],
    ['how many replies are there', {}],
    ['who replied?', { kind: 'reply' }],
    ['did anyone answer', { kind: 'reply' }],
    ['how many people have responded so far', { kind: 'reply' }],
    ['show the out-of-office replies', { kind: 'auto_reply' }],
    ['list automatic replies', { kind: 'auto_reply' }],
    ['show me the bounces', { kind: 'bounce' }],
    ['which mails bounced?', { kind: 'bounce' }],
    ['did any mails bounce?', { kind: 'bounce' }],
    ['are there any bounced emails', { kind: 'bounce' }],
  ])('calls list_replies for “%s”', (words, args) => {
    expect(play(words).calls).toEqual([{ name: 'list_replies', args }]);
  });

  it.each([
    ['who replied to the Q4 campaign?', { kind: 'reply' }, 'Q4'],
    ['show me the replies to campaign Q4', {}, 'Q4'],
    ['bounces in the "Q4" campaign', { kind: 'bounce' }, 'Q4'],
    ['any replies to the campaign?', {}, ''],
  ])('asks for those of a campaign: “%s”', (words, args, search) => {
    const { calls } = play(words);
    expect(calls[0]).toEqual({ name: 'list_campaigns', args: search === '' ? {} : { search } });
    expect(calls[1]).toEqual({ name: 'list_replies', args: { ...args, campaign_id: 'campaign-1' } });
  });

  it('says honestly that there is none', () => {
    expect(play('show me the replies').text).toContain('No reply has come in yet.');
    expect(play('any bounces?').text).toContain('No bounced mail has come in yet.');
  });

  it('tells them as rows in which nothing acts as markup, and one in full', () => {
    const one = play('who replied?', { total: 1, replies: [reply] }).text;
    expect(one).toContain('There is 1 mail that came back:');
    expect(one).toContain('Maureen \\| \\*Fuentes\\*');
    expect(one).toContain(`> ${reply.text.trim()}`);
    const bounce = {
      kind: 'bounce',
      bounce: { type: 'hard', recipient: 'gone@acme.example' },
      from_email: 'm@x.example',
    };
    const two = play('show the replies', { total: 9, replies: [reply, bounce] }).text;
    expect(two).toContain('There are 9 mails that came back. Here are the first 2:');
    expect(two).toMatch(/\| gone@acme\.example \| hard bounce \|/);
  });
});
