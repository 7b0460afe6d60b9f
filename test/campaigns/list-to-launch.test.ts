/** From a file of a hundred people to two rounds of mails, by talking: each gets words of their own, at local times. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Campaign, CampaignStats } from '../../src/resources/campaigns/schema.ts';
import { cardOf, cardsOf, decide, endOf, eventually, lastAnswer, say } from '../support/mailing.ts';
import { DAY, type Newcomer, openNewcomer } from '../support/newcomer.ts';

/** A Thursday morning in Berlin; clocks go forward in the night to Sunday. */
const START = Date.parse('2026-03-26T07:00:00Z');
const PEOPLE = 100;

/** Milliseconds for a hundred moments of sending on a busy machine. */
const SLOW = 600_000;

let newcomer: Newcomer;
beforeAll(async () => {
  newcomer = await openNewcomer({ start: START });
});
afterAll(() => newcomer.close());

const FIRST = ['Victor', 'Maureen', 'Zoë', "D'Arcy", 'Łukasz', 'Ana Lucía', 'Ralph', 'Noor', 'Jörg', 'Mei'];
const LAST = [
  'Cochran',
  'Fuentes',
  'Murillo',
  "O'Brien",
  'Grünwald',
  'Ng',
  'Sánchez',
  'Hall',
  'Ito',
  'Barnes',
];

/** A list as a CRM exports it: columns of its own, quotes, commas and letters of all kinds. */
function exportedList(): string {
  const rows = Array.from({ length: PEOPLE }, (_, index) => {
    const [first, last] = [FIRST[index % 10], LAST[Math.floor(index / 10)]];
    const company = index % 4 === 0 ? `"Grimes, Madden and Huff ${index}"` : `Crosby ${index} Inc`;
    return [
      index + 1,
      `0970F99ED4a2C${index}`,
      'Bethany Dixon',
      first,
      last,
      company,
      `+1-532-344-1${String(index).padStart(3, '0')}`,
      '2754733370',
      `person${index}@company${index}.example`,
      `other${index}@elsewhere.example`,
      `http://www.company${index}.example/`,
      'Trade Show',
      'New Lead',
      index % 7 === 0 ? '"Said: ""call me"", twice."' : 'Medical education throughout.',
    ].join(',');
  });
  const head =
    'Index,Account Id,Lead Owner,First Name,Last Name,Company,Phone 1,Phone 2,Email 1,Email 2,Website,Source,Deal Stage,Notes';
  return `${[head, ...rows].join('\r\n')}\r\n`;
}

/** Says it, says yes to a write that asks because the file's words are in the talk, and reads the answer. */
async function told(words: string, threadId?: string): Promise<{ threadId: string; answer: string }> {
  const { client } = newcomer.service;
  const turn = await say(client, words, threadId === undefined ? {} : { thread_id: threadId });
  for (const card of await cardsOf(client, turn.threadId)) {
    expect(card.tool, words).toMatch(/^(?:create|update)_campaign$/);
    await decide(client, card, 'approve');
  }
  return { threadId: turn.threadId, answer: (await lastAnswer(client, turn.threadId)).content };
}

const berlin = (at: number) =>
  new Intl.DateTimeFormat('sv-SE', {
    timeZone: 'Europe/Berlin',
    dateStyle: 'short',
    timeStyle: 'short',
  }).format(at);

describe('a list of a hundred people', () => {
  let campaign: Campaign;

  it('becomes a campaign of two steps, launched, by talking', async () => {
    const { client } = newcomer.service;
    const form = new FormData();
    form.set('file', new File([exportedList()], 'spring-fair.csv', { type: 'text/csv' }));
    const imported = await client.request<{ dataset_id: string; row_count: number; refused_count: number }>(
      'POST',
      '/api/v1/datasets/import',
      form,
    );
    expect(imported).toMatchObject({ row_count: PEOPLE, refused_count: 0 });

    const { threadId, answer } = await told(
      'Create a campaign called Spring fair for spring-fair with two steps',
    );
    expect(answer).toContain(`${PEOPLE} leads`);
    await told('Set the time zone of the Spring fair campaign to Europe/Berlin', threadId);
    const checked = await told('Check the Spring fair campaign', threadId);
    expect(checked.answer).toContain(`would write to ${PEOPLE} leads of ${PEOPLE}`);
    await say(client, 'Launch it', { thread_id: threadId });
    const card = await cardOf(client, threadId);
    expect(card.facts).toContainEqual({ label: 'Recipients', value: `${PEOPLE} of ${PEOPLE} leads` });
    expect(card.facts).toContainEqual({
      label: 'First mail',
      value: 'Thu, 26 Mar 2026, 09:00 (Europe/Berlin)',
    });
    expect(newcomer.arrivals).toEqual([]);
    expect(endOf(await decide(client, card, 'approve'))).toBe('completed');
    const { campaigns } = await client.request<{ campaigns: Campaign[] }>('GET', '/api/v1/campaigns/');
    campaign = campaigns.find(({ name }) => name === 'Spring fair') as Campaign;
    expect(campaign).toMatchObject({
      status: 'active',
      dataset_id: imported.dataset_id,
      timezone: 'Europe/Berlin',
    });
    expect(campaign.steps_config.map((step) => step.delay_days)).toEqual([0, 3]);
  });

  it('gets its first mails, each with words of its own, within the window', { timeout: SLOW }, async () => {
    await newcomer.runUntil(START + 2 * DAY);
    expect(newcomer.arrivals.map(({ to }) => to)).toEqual(
      Array.from({ length: PEOPLE }, (_, index) => `person${index}@company${index}.example`),
    );
    expect(new Set(newcomer.arrivals.map(({ text }) => text)).size).toBe(PEOPLE);
    for (const [index, { text }] of newcomer.arrivals.entries()) {
      const company = index % 4 === 0 ? `Grimes, Madden and Huff ${index}` : `Crosby ${index} Inc`;
      expect(text).toContain(`Hello ${FIRST[index % 10]},`);
      expect(text).toContain(`you work at ${company}.`);
    }
    // Eight hours have room for 96 mails that are five minutes apart; the others leave on Friday.
    expect(newcomer.arrivals.slice(94, 98).map(({ at }) => berlin(at))).toEqual([
      '2026-03-26 16:50',
      '2026-03-26 16:55',
      '2026-03-27 09:00',
      '2026-03-27 09:05',
    ]);
  });

  it('gets its second mails three local days later, by the clocks of summer', { timeout: SLOW }, async () => {
    await newcomer.runUntil(START + 8 * DAY);
    const second = newcomer.arrivals.slice(PEOPLE);
    expect(second.map(({ to }) => to).toSorted()).toEqual(
      newcomer.arrivals
        .slice(0, PEOPLE)
        .map(({ to }) => to)
        .toSorted(),
    );
    for (const { subject } of second) expect(subject).toMatch(/Still.of.interest/);
    // Thursday and three days is a Sunday, so Monday at nine: an hour earlier by the sun. Friday's are due on Monday too.
    expect(berlin(second[0]?.at ?? 0)).toBe('2026-03-30 09:00');
    expect(new Date(second[0]?.at ?? 0).toISOString()).toBe('2026-03-30T07:00:00.000Z');
    expect(second.map(({ at }) => berlin(at)).slice(-4)).toEqual([
      '2026-03-31 09:00',
      '2026-03-31 09:05',
      '2026-03-31 09:10',
      '2026-03-31 09:15',
    ]);
    const path = `/api/v1/campaigns/${campaign.campaign_id}/stats`;
    const stats = await eventually(
      () => newcomer.service.client.request<CampaignStats>('GET', path),
      ({ status }) => status === 'completed',
    );
    expect(stats).toMatchObject({ sent: 2 * PEOPLE, queued: 0, failed: 0, unknown: 0 });
    expect((await told('How is the Spring fair campaign doing?')).answer).toContain('is completed');
  });
});
