/** A campaign whose leads get texts of their own, by talking: they are written for their price, shown, and sent as they were shown. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval } from '../../src/client/events.ts';
import type { Campaign, CampaignLead } from '../../src/resources/campaigns/schema.ts';
import { cardOf, decide, endOf, lastAnswer, say } from '../support/mailing.ts';
import { DAY, MONDAY, type Newcomer, openNewcomer } from '../support/newcomer.ts';

const PEOPLE = 30;

let newcomer: Newcomer;
beforeAll(async () => {
  newcomer = await openNewcomer();
});
afterAll(() => newcomer.close());

const request = <T>(method: string, path: string, body?: unknown) =>
  newcomer.service.client.request<T>(method, path, body);
const factOf = (card: Approval, label: string) => card.facts.find((fact) => fact.label === label)?.value;
const balance = async () =>
  (await request<{ available_credits: number }>('GET', '/api/v1/credits/balance')).available_credits;

/** Says it and answers the one card that comes of it. */
async function asked(words: string, threadId?: string): Promise<Approval> {
  const turn = await say(
    newcomer.service.client,
    words,
    threadId === undefined ? {} : { thread_id: threadId },
  );
  return cardOf(newcomer.service.client, turn.threadId);
}

describe('“… with personal texts”', () => {
  let threadId: string;
  let campaign: Campaign;

  beforeAll(async () => {
    const rows = Array.from(
      { length: PEOPLE },
      (_, index) => `p${index}@own${index}.example,Ann${index},Own ${index} Inc`,
    );
    const form = new FormData();
    form.set(
      'file',
      new File([`email,first_name,company\n${rows.join('\n')}\n`], 'fair.csv', { type: 'text/csv' }),
    );
    await request('POST', '/api/v1/datasets/import', form);
    const card = await asked('Create a campaign called Fair for fair with personal texts');
    ({ thread_id: threadId } = card);
    await decide(newcomer.service.client, card, 'approve');
    const { campaigns } = await request<{ campaigns: Campaign[] }>('GET', '/api/v1/campaigns/');
    campaign = campaigns.find(({ name }) => name === 'Fair') as Campaign;
  });

  it('says what is missing, and is not launched like that', async () => {
    await say(newcomer.service.client, 'Launch it', { thread_id: threadId });
    const { content } = await lastAnswer(newcomer.service.client, threadId);
    expect(content).toContain(`All ${PEOPLE} leads are left out: ${PEOPLE} without a text of their own.`);
  });

  it('has its texts written for what they cost, some at a time, after a yes', async () => {
    const { client } = newcomer.service;
    expect(await balance()).toBe(1000);
    const first = await asked('Write the texts for it', threadId);
    expect(first).toMatchObject({ tool: 'generate_drafts' });
    expect(factOf(first, 'Price')).toBe('at most 25 credits');
    expect(factOf(first, 'Left for later')).toBe('5 leads');
    expect(await balance()).toBe(1000);
    const events = await decide(client, first, 'approve');
    expect(endOf(events)).toBe('completed');
    const progress = events.flatMap((event) => (event.type === 'tool-progress' ? [event.data.done] : []));
    expect(progress).toEqual(Array.from({ length: 26 }, (_, done) => done));
    expect(await balance()).toBe(975);
    expect((await lastAnswer(client, threadId)).content).toContain('5 leads still lack a text');
    await decide(client, await asked('Write the texts for it', threadId), 'approve');
    expect(await balance()).toBe(970);
    await say(client, 'Write the texts for it', { thread_id: threadId }).then(async () => {
      // Nothing is left to write: it costs nothing, and asks only as the file's words are in the talk.
      const { interrupts } = await client.interrupt(threadId);
      for (const card of interrupts) {
        expect(factOf(card, 'Price')).toBe('free');
        await decide(client, card, 'approve');
      }
    });
    expect(await balance()).toBe(970);
  });

  it('shows them before the launch, and asks again when one was changed by then', async () => {
    const { client } = newcomer.service;
    const card = await asked('Launch it', threadId);
    expect(factOf(card, 'Recipients')).toBe(`${PEOPLE} of ${PEOPLE} leads`);
    expect(factOf(card, 'Texts')).toBe(`written for each lead, ${PEOPLE} of them read by nobody`);
    expect(card.warnings[0]).toMatchObject({ code: 'UNREVIEWED_TEXTS', severity: 'high' });
    expect(card.preview[0]?.subject).toBe('A short question for Own 0 Inc');
    const { leads } = await request<{ leads: CampaignLead[] }>(
      'GET',
      `/api/v1/campaigns/${campaign.campaign_id}/leads`,
    );
    const path = `/api/v1/campaigns/${campaign.campaign_id}/leads/${leads[7]?.campaign_lead_id}/approve`;
    await request('POST', path, {
      step_index: 1,
      variant_label: 'A',
      subject: 'By hand',
      body: 'For Ann7 alone.',
    });
    expect(endOf(await decide(client, card, 'approve'))).toBe('awaiting_approval');
    expect(newcomer.arrivals).toEqual([]);
    const again = await cardOf(client, threadId);
    expect(again.args_hash).not.toBe(card.args_hash);
    expect(factOf(again, 'Texts')).toBe(`written for each lead, ${PEOPLE - 1} of them read by nobody`);
    expect(endOf(await decide(client, again, 'approve'))).toBe('completed');
  });

  it('sends each lead its own', { timeout: 600_000 }, async () => {
    await newcomer.runUntil(MONDAY + DAY);
    expect(newcomer.arrivals.map(({ to }) => to)).toEqual(
      Array.from({ length: PEOPLE }, (_, index) => `p${index}@own${index}.example`),
    );
    for (const [index, { subject, text }] of newcomer.arrivals.entries()) {
      expect(subject).toBe(index === 7 ? 'By hand' : `A short question for Own ${index} Inc`);
      expect(text).toContain(index === 7 ? 'For Ann7 alone.' : `Hello Ann${index},`);
      expect(text).toMatch(/\nTo receive no more mails: https:\/\/mail\.example\.com\/unsubscribe\/\S+\n/);
    }
  });
});
