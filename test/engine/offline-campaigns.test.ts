/** Holds the offline model to its words about campaigns: what it understands, and the steps it takes. */

import { describe, expect, it } from 'vitest';
import type { Step } from '../../src/engine/offline/intent.ts';
import { nextStep } from '../../src/engine/offline/next-step.ts';
import type { ChatRequest, Row } from '../../src/engine/offline/scene.ts';

const TOOLS = [
  'list_datasets',
  'search_leads',
  'list_templates',
  'list_campaigns',
  'get_campaign',
  'get_campaign_stats',
  'preflight_campaign',
  'create_campaign',
  'update_campaign',
  'add_leads_to_campaign',
  'generate_drafts',
  'launch_campaign',
  'pause_campaign',
  'resume_campaign',
  'send_email',
  'suppress_email',
  'personalize_email',
  'list_replies',
];

const campaigns = [
  { campaign_id: 'campaign-1', name: 'Q4 campaign', status: 'draft', total_leads: 60, steps_count: 2 },
  { campaign_id: 'campaign-2', name: 'Spring fair', status: 'active', total_leads: 5, steps_count: 1 },
];

const report = {
  summary: { total_rows: 60, launchable_rows: 57, warning_count: 1 },
  warnings: [{ code: 'MISSING_FIELD', message: '3 leads have no first name.', severity: 'warning' }],
  left_out: { suppressed: 1, duplicate: 1 },
  first_send_at: '2026-11-23T09:00:00Z',
  last_send_at: '2026-11-23T13:40:00Z',
};

const ANSWERS: Record<string, (args: Row) => unknown> = {
  list_campaigns({ search = '' }) {
    const found = campaigns.filter(({ name }) => name.toLowerCase().includes(String(search).toLowerCase()));
    return { total: found.length, campaigns: found };
  },
  list_datasets: () => ({ datasets: [{ dataset_id: 'dataset-1', name: 'leads-100', row_count: 100 }] }),
  list_templates: () => ({
    templates: [
      { template_id: 'template-2', name: 'Short reminder' },
      { template_id: 'template-1', name: 'First hello' },
    ],
  }),
  get_campaign: () => ({
    ...campaigns[0],
    sending_window: '09:00–17:00',
    timezone: 'UTC',
    send_days: ['mon', 'tue'],
    daily_limit: 500,
    steps: [
      { step: 1, delay_days: 0, variants: [{ subject: 'Hello' }] },
      { step: 2, delay_days: 3, variants: [{ personalized: true }] },
    ],
  }),
  search_leads: () => ({
    total: 2,
    leads: [
      { lead_id: 'lead-1', email: 'a@x.example', first_name: 'Ann', last_name: 'Lee' },
      { lead_id: 'lead-2', email: 'b@x.example', first_name: 'Bo', last_name: 'Lee' },
    ],
  }),
  get_campaign_stats: () => ({
    status: 'active',
    total_leads: 57,
    queued: 50,
    sent: 7,
    sandbox: 0,
    failed: 0,
    unknown: 0,
  }),
  preflight_campaign: () => report,
  create_campaign: ({ name }) => ({ campaign_id: 'campaign-3', name, status: 'draft', total_leads: 100 }),
  update_campaign: ({ name = 'Q4 campaign' }) => ({ campaign_id: 'campaign-1', name, status: 'draft' }),
  add_leads_to_campaign: () => ({ added: 100 }),
  launch_campaign: () => ({ name: 'Q4 campaign', status: 'active', recipients: 57, ...report }),
  generate_drafts: () => ({ written: 25, failed: 0, leads_without_text: 32, credits: 25 }),
  pause_campaign: () => ({ name: 'Q4 campaign', status: 'paused' }),
  resume_campaign: () => ({ name: 'Q4 campaign', status: 'active' }),
};

/** Plays turns to their last words, one after the other, and answers the calls on the way; what is told is of the last. */
function play(
  words: string | readonly string[],
  answers: Record<string, (args: Row) => unknown> = {},
): { calls: { name: string; args: Row }[]; text: string } {
  const messages: ChatRequest['messages'] = [];
  let last: { calls: { name: string; args: Row }[]; text: string } = { calls: [], text: '' };
  for (const [turn, said] of [words].flat().entries()) {
    messages.push({ role: 'user', content: said });
    last = playTurn(messages, answers, turn);
    messages.push({ role: 'assistant', content: last.text });
  }
  return last;
}

function playTurn(
  messages: ChatRequest['messages'],
  answers: Record<string, (args: Row) => unknown>,
  turn: number,
): { calls: { name: string; args: Row }[]; text: string } {
  const calls: { name: string; args: Row }[] = [];
  for (let round = 0; round < 8; round += 1) {
    const step: Step = nextStep({ messages, tools: TOOLS.map((name) => ({ function: { name } })) });
    if (step.toolCalls === undefined) return { calls, text: step.text };
    const ids = step.toolCalls.map((_, index) => `call-${turn}-${round}-${index}`);
    messages.push({
      role: 'assistant',
      tool_calls: step.toolCalls.map(({ name, args }, index) => ({
        id: ids[index] ?? '',
        function: { name, arguments: JSON.stringify(args) },
      })),
    });
    for (const [index, call] of step.toolCalls.entries()) {
      calls.push(call);
      const answer = (answers[call.name] ?? ANSWERS[call.name])?.(call.args) ?? {};
      messages.push({ role: 'tool', tool_call_id: ids[index], content: JSON.stringify(answer) });
    }
  }
  throw new Error('the turn does not end');
}

const Q4 = { campaign_id: 'campaign-1' };
const cases: [tool: string, args: Row, phrasings: string[]][] = [
  ['list_campaigns', {}, ['List my campaigns', 'show me the campaigns', 'What campaigns do I have?']],
  ['get_campaign', Q4, ['Show the Q4 campaign', 'tell me about the Q4 campaign', 'open campaign Q4']],
  [
    'get_campaign_stats',
    Q4,
    ['How is the Q4 campaign doing?', 'stats of the Q4 campaign', 'show me the results for campaign Q4'],
  ],
  [
    'preflight_campaign',
    Q4,
    ['Check the Q4 campaign', 'Is the Q4 campaign ready to launch?', 'preflight campaign Q4, please'],
  ],
  [
    'launch_campaign',
    Q4,
    ['Launch the Q4 campaign', 'start the Q4 campaign now', 'please go live with campaign Q4'],
  ],
  ['pause_campaign', Q4, ['Pause the Q4 campaign', 'stop the Q4 campaign', 'put campaign Q4 on hold']],
  ['resume_campaign', Q4, ['Resume the Q4 campaign', 'go on with the Q4 campaign', 'unpause campaign Q4']],
  [
    'update_campaign',
    { ...Q4, name: 'Winter' },
    [
      'Rename the Q4 campaign to Winter',
      'change the name of the Q4 campaign to Winter',
      'rename campaign Q4 to "Winter"',
    ],
  ],
  [
    'update_campaign',
    { ...Q4, daily_limit: 50 },
    [
      'Set the daily limit of the Q4 campaign to 50',
      'limit the Q4 campaign to 50 mails a day',
      'lower the daily cap for campaign Q4 to 50',
    ],
  ],
  [
    'update_campaign',
    { ...Q4, timezone: 'Europe/Berlin' },
    [
      'Set the time zone of the Q4 campaign to Europe/Berlin',
      'switch campaign Q4 to the timezone Europe/Berlin',
      'use the time zone Europe/Berlin for the Q4 campaign',
    ],
  ],
  [
    'update_campaign',
    { ...Q4, sending_window_start: '09:00', sending_window_end: '17:30' },
    [
      'Send the Q4 campaign between 9:00 and 17:30',
      'set the window of campaign Q4 to 9 - 5:30 pm',
      'let the Q4 campaign send only from 9am to 5:30pm',
    ],
  ],
  [
    'update_campaign',
    { ...Q4, send_days: ['tue', 'thu'] },
    [
      'Send the Q4 campaign on Tuesday and Thursday',
      'set the sending days of campaign Q4 to thu, tue',
      'only send the Q4 campaign on tuesdays and thursdays',
    ],
  ],
  [
    'add_leads_to_campaign',
    { ...Q4, dataset_id: 'dataset-1' },
    [
      'Add the dataset leads-100 to the Q4 campaign',
      'put the leads of leads-100 into campaign Q4',
      'add leads from leads-100 to the Q4 campaign',
    ],
  ],
  [
    'add_leads_to_campaign',
    { ...Q4, lead_ids: ['lead-1', 'lead-2'] },
    [
      'Add everyone at Crosby Inc to the Q4 campaign',
      'put all CTOs in Berlin into campaign Q4',
      'add people in Oslo to the Q4 campaign',
    ],
  ],
  [
    'generate_drafts',
    Q4,
    [
      'Write the texts for the Q4 campaign',
      'generate drafts for campaign Q4',
      'please personalise the mails of the Q4 campaign',
    ],
  ],
  [
    'create_campaign',
    {
      name: 'Winter',
      dataset_id: 'dataset-1',
      steps: [{ delay_days: 0, personalized: true }],
    },
    [
      'Create a campaign called Winter for leads-100 with personal texts',
      'make a campaign named Winter from the dataset leads-100 with personalized mails',
      'set up a campaign Winter for leads-100 with own texts for each lead',
    ],
  ],
  [
    'create_campaign',
    {
      name: 'Winter',
      dataset_id: 'dataset-1',
      steps: [
        { delay_days: 0, template_id: 'template-1' },
        { delay_days: 3, template_id: 'template-2' },
      ],
    },
    [
      'Create a campaign called Winter for leads-100 with two steps',
      'make a two-step campaign named Winter from the dataset leads-100',
      'Set up a new campaign Winter with the leads of leads-100 in 2 steps',
    ],
  ],
];

describe('what the offline model understands of campaigns', () => {
  for (const [tool, args, phrasings] of cases) {
    it.each(phrasings)(`calls ${tool} for “%s”`, (words) => {
      expect(play(words).calls.at(-1)).toEqual({ name: tool, args });
    });
  }

  it('has at least three phrasings of everything it understands', () => {
    expect(cases.filter(([, , phrasings]) => phrasings.length < 3)).toEqual([]);
  });
});

describe('“it”', () => {
  const create = 'create a campaign called Winter for leads-100 with two steps';
  const WINTER = { campaign_id: 'campaign-3' };
  const answers = {
    list_campaigns: () => ({
      campaigns: [
        ...campaigns,
        { campaign_id: 'campaign-3', name: 'Winter', status: 'draft', total_leads: 100 },
      ],
    }),
  };

  it.each([
    ['launch it', 'launch_campaign', WINTER],
    ['launch', 'launch_campaign', WINTER],
    ['check it', 'preflight_campaign', WINTER],
    ['check the campaign', 'preflight_campaign', WINTER],
    ['when will the first mail go out?', 'preflight_campaign', WINTER],
    ['how is it going?', 'get_campaign_stats', WINTER],
    ['what is the status?', 'get_campaign_stats', WINTER],
    ['pause it', 'pause_campaign', WINTER],
    ['rename it to Autumn', 'update_campaign', { ...WINTER, name: 'Autumn' }],
    ['send it on mondays', 'update_campaign', { ...WINTER, send_days: ['mon'] }],
    ['write the texts', 'generate_drafts', WINTER],
    ['show it', 'get_campaign', WINTER],
  ])('is the campaign that was made before “%s”', (words, name, args) => {
    expect(play([create, words], answers).calls.at(-1)).toEqual({ name, args });
  });

  it('is the one that was talked of last', () => {
    const told = play([create, 'pause the Spring fair campaign', 'resume it'], answers);
    expect(told.calls.at(-1)).toEqual({ name: 'resume_campaign', args: { campaign_id: 'campaign-2' } });
  });

  it('are the leads that were found, where leads were', () => {
    const told = play(['find people in Berlin', 'add them to the Q4 campaign']);
    expect(told.calls.at(-1)).toEqual({
      name: 'add_leads_to_campaign',
      args: { ...Q4, lead_ids: ['lead-1', 'lead-2'] },
    });
    expect(play(['find people in Berlin', 'check it']).calls.map(({ name }) => name)).not.toContain(
      'preflight_campaign',
    );
  });

  it('is asked for where nothing was talked of', () => {
    expect(play('launch it').text).toContain('Several campaigns fit');
  });
});

describe('what the offline model says where it cannot help', () => {
  it.each(['Import my leads', 'upload a CSV file', 'How do I import contacts?'])(
    'tells for “%s” how a list comes in',
    (words) => {
      const { text, calls } = play(words);
      expect(calls).toEqual([]);
      expect(text).toContain('/api/v1/datasets/import');
    },
  );

  it.each(['Create a campaign', 'make a new campaign called Winter', 'create a campaign for CTOs'])(
    'asks for the list of “%s”, and names those that are there',
    (words) => {
      const { text, calls } = play(words);
      expect(calls.map(({ name }) => name)).toEqual(['list_datasets']);
      expect(text).toContain('- leads-100');
      expect(text).toMatch(/“create a campaign (?:NAME|Winter) for leads-100 with two steps”/);
    },
  );

  it('says that there is no list yet', () => {
    expect(play('create a campaign', { list_datasets: () => ({ datasets: [] }) }).text).toContain(
      'Upload a CSV',
    );
  });

  it.each([
    ['delete the Q4 campaign', 'I cannot delete campaigns'],
    ['how many opened it?', 'not counted here'],
  ])('says so of “%s”', (words, answer) => {
    const { text, calls } = play(words);
    expect(calls).toEqual([]);
    expect(text).toContain(answer);
  });

  it('names what comes nearest to words that it does not understand', () => {
    const { text } = play('please clone the Q4 campaign twice over');
    expect(text).toContain('I did not understand that.');
    expect(text).toContain('- Launch the NAME campaign');
    expect(text).not.toContain('credits');
  });
});

describe('what the offline model says of campaigns', () => {
  it('shows a campaign with its days and steps', () => {
    const { text } = play('show the Q4 campaign');
    expect(text).toContain('- Sends: 09:00–17:00 UTC, mon tue');
    expect(text).toContain('- Step 1, at the start: “Hello”');
    expect(text).toContain('- Step 2, 3 days later: a text of their own for each lead');
  });

  it('says that nothing leaves in a sandbox', () => {
    const launch = { ...report, name: 'Q4 campaign', status: 'active', recipients: 57 };
    const told = (sandbox: boolean) =>
      play('launch the Q4 campaign', { launch_campaign: () => ({ ...launch, sandbox }) }).text;
    expect(told(true)).toContain('nothing leaves this machine');
    expect(told(false)).not.toContain('sandbox');
  });

  it('tells what a launch would do, and what must be mended', () => {
    const { text } = play('check the Q4 campaign', {
      preflight_campaign: () => ({
        ...report,
        warnings: [{ code: 'NO_SENDER', message: 'There is no sender.', severity: 'error' }],
      }),
    });
    expect(text).toContain('would write to 57 leads of 60');
    expect(text).toContain('1 suppressed and 1 duplicate');
    expect(text).toContain('must be mended');
  });

  it('tells a rejected launch with its reason, and proposes nothing again', () => {
    const { text, calls } = play('launch the Q4 campaign', {
      launch_campaign: () => ({ status: 'rejected', reason: 'Not this week.' }),
    });
    expect(text).toContain('Not this week.');
    expect(calls.filter(({ name }) => name === 'launch_campaign')).toHaveLength(1);
  });

  it('asks which campaign is meant where several fit, and does nothing', () => {
    const { text, calls } = play('launch the campaign');
    expect(text).toContain('Several campaigns fit');
    expect(calls.map(({ name }) => name)).toEqual(['list_campaigns']);
  });

  it('says that there is no such campaign', () => {
    expect(play('launch the Moon campaign').text).toBe('I find no campaign called Moon.');
  });

  it('says when there are fewer templates than steps', () => {
    expect(play('create a campaign Winter for leads-100 with three steps').text).toContain(
      '3 steps need as many templates',
    );
  });
});
