/** The first thing a newcomer types, to its end: the card against the rows, the mails against the card, the figures against the mails. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval } from '../../src/client/events.ts';
import type { Campaign, CampaignStats } from '../../src/resources/campaigns/schema.ts';
import { cardOf, decide, endOf, eventually, lastAnswer, say } from '../support/mailing.ts';
import { DAY, MINUTE, MONDAY, type Newcomer, openNewcomer, PUBLIC_URL } from '../support/newcomer.ts';

/** Milliseconds for a hundred moments of sending on a busy machine. */
const SLOW = 600_000;

let newcomer: Newcomer;
beforeAll(async () => {
  newcomer = await openNewcomer();
});
afterAll(() => newcomer.close());

interface ListedLead {
  id: string;
  email: string;
  first_name: string | null;
  company: string | null;
  suppressed: boolean;
  repeated: boolean;
}

/** The leads of the demo campaign in the order of their file, judged by SQL of the test's own. */
function listed(): Promise<ListedLead[]> {
  return newcomer.database.query<ListedLead & Record<string, unknown>>(`
    select l.id, l.email, l.first_name, l.company,
           lower(l.email) in (select email from suppression_entries) as suppressed,
           exists (select 1 from leads e where e.dataset_id = l.dataset_id and lower(e.email) = lower(l.email)
                    and e.row_index < l.row_index) as repeated
      from leads l join campaigns c on c.dataset_id = l.dataset_id
     where c.name = 'Q4 campaign' order by l.row_index`);
}

const factOf = (card: Approval, label: string) => card.facts.find((fact) => fact.label === label)?.value;
const addressOf = (mailbox: string | undefined) => /<([^<>]*)>$/.exec(mailbox ?? '')?.[1] ?? mailbox ?? '';

/** When the mail with this place in the plan is due: forty a day, five minutes apart, from nine o'clock on. */
function dueAt(day: number, place: number): number {
  return day + 9 * 60 * MINUTE + (place % 40) * 5 * MINUTE + Math.floor(place / 40) * DAY;
}
const MIDNIGHT = Date.parse('2026-03-02T00:00:00Z');

const statsOf = (id: string) =>
  newcomer.service.client.request<CampaignStats>('GET', `/api/v1/campaigns/${id}/stats`);

describe('“Launch the Q4 campaign”', () => {
  let leads: ListedLead[];
  let chosen: ListedLead[];
  let campaign: Campaign;
  let card: Approval;
  beforeAll(async () => {
    const { client } = newcomer.service;
    leads = await listed();
    chosen = leads.filter((lead) => !lead.suppressed && !lead.repeated);
    const { threadId } = await say(client, 'Launch the Q4 campaign');
    card = await cardOf(client, threadId);
    const { campaigns } = await client.request<{ campaigns: Campaign[] }>('GET', '/api/v1/campaigns/');
    campaign = campaigns.find(({ name }) => name === 'Q4 campaign') as Campaign;
  });

  it('shows a card whose numbers are those of the rows', async () => {
    expect([leads.length, chosen.length]).toEqual([60, 58]);
    expect(card).toMatchObject({ tool: 'launch_campaign', status: 'pending', kind: 'proposal' });
    expect(factOf(card, 'Recipients')).toBe(`${chosen.length} of ${leads.length} leads`);
    expect(factOf(card, 'Left out')).toBe(
      '1 on the do-not-contact list, 1 with an address that is there already',
    );
    const left = leads.filter((lead) => lead.suppressed || lead.repeated);
    expect(factOf(card, 'Who is left out')).toBe(
      left.map(({ email, suppressed }) => `${email} (${suppressed ? 'suppressed' : 'duplicate'})`).join(', '),
    );
    const [sender] = await newcomer.database.query<{ from_name: string; from_email: string }>(
      `select sender_data->>'from_name' as from_name, sender_data->>'from_email' as from_email from sender_profiles where is_default`,
    );
    expect(factOf(card, 'Sender')).toBe(`${sender?.from_name} <${sender?.from_email}>`);
    const { available_credits: credits } = await newcomer.service.client.request<{
      available_credits: number;
    }>('GET', '/api/v1/credits/balance');
    expect(credits).toBe(1000);
    expect(factOf(card, 'Credits')).toBe(`0 of ${credits} available`);
    expect(factOf(card, 'First mail')).toBe('Mon, 2 Mar 2026, 09:00 (UTC)');
    const last = new Date(dueAt(MIDNIGHT, chosen.length - 1)).toISOString();
    expect(last).toBe('2026-03-03T10:25:00.000Z');
    expect(factOf(card, 'Last first mail')).toBe('Tue, 3 Mar 2026, 10:25 (UTC)');
    expect(factOf(card, 'Steps')).toBe('1: at the start; 2: 3 days later');
    expect(factOf(card, 'Window')).toBe('09:00–17:00 UTC, Mon–Fri');
    expect(factOf(card, 'Daily cap')).toBe('40 mails a day and mailbox, at least 5 min apart');
    expect(factOf(card, 'Sending')).toBe('by SMTP');
    // What may be edited says what it is now.
    expect(card.args_schema).toMatchObject({
      properties: {
        name: { default: 'Q4 campaign' },
        daily_limit: { default: 40 },
        start_date: { default: null },
      },
    });
    expect(card.consequence).toContain(`${chosen.length} people get up to 2 mails each`);
  });

  it('says what was found before the launch, worst first, with the numbers of the rows', () => {
    const nameless = chosen.filter((lead) => lead.first_name === null).length;
    const homeless = chosen.filter((lead) => lead.company === null).length;
    expect([nameless, homeless]).toEqual([4, 1]);
    const severities = card.warnings.map(({ severity }) => ['high', 'medium', 'low'].indexOf(severity));
    expect(severities).toEqual(severities.toSorted());
    expect(card.warnings.map(({ code }) => code).toSorted()).toEqual([
      'FALLBACK_USED',
      'FALLBACK_USED',
      'FALLBACK_USED',
      'LEADS_LEFT_OUT',
      'NOT_SIGNED',
      'NO_UNSUBSCRIBE_LINE',
      'NO_UNSUBSCRIBE_LINE',
      'ROLE_ADDRESS',
    ]);
    const messages = card.warnings.map(({ message }) => message).join('\n');
    expect(messages).toContain(
      `Step 1: {{first_name}} is not known for ${nameless} of ${chosen.length} leads; its fallback "there" stands in.`,
    );
    expect(messages).toContain(`Step 1: {{company}} is not known for ${homeless} of ${chosen.length} leads`);
    expect(messages).toContain('info@meadow-foods.example');
  });

  it('previews what the first, a random and the worst lead get', () => {
    const shown = card.preview.map(({ to }) => addressOf(to));
    const [first] = chosen;
    const worst = chosen.find((lead) => lead.first_name === null);
    expect(shown.slice(0, 2)).toEqual([first?.email, first?.email]);
    expect(shown.slice(-2)).toEqual([worst?.email, worst?.email]);
    expect(shown).toHaveLength(5);
    expect(chosen.map(({ email }) => email)).toContain(shown[2]);
    expect(card.preview[0]).toMatchObject({ subject: `A question about ${first?.company}` });
    expect(card.preview[0]?.body).toContain(`Hello ${first?.first_name},`);
    expect(card.preview[3]?.body).toContain('Hello there,');
    expect(factOf(card, 'Shown below')).toBe(
      '2 mails to the first lead; then 1 mail to a lead taken at random; then 2 mails to the lead with most fields missing',
    );
  });

  it('does nothing before the decision, whatever the time', async () => {
    await newcomer.runUntil(MONDAY + 6 * DAY);
    newcomer.setNow(MONDAY);
    expect(newcomer.arrivals).toEqual([]);
    expect(await newcomer.database.query('select id from outbox')).toEqual([]);
  });

  it('sends after the yes exactly one first mail to each who was chosen, each at its time', {
    timeout: SLOW,
  }, async () => {
    expect(endOf(await decide(newcomer.service.client, card, 'approve'))).toBe('completed');
    expect((await lastAnswer(newcomer.service.client, card.thread_id)).content).toContain(
      `${chosen.length} leads`,
    );
    expect(await statsOf(campaign.campaign_id)).toMatchObject({ status: 'active', queued: 58, sent: 0 });
    await newcomer.runUntil(dueAt(MIDNIGHT, 0) - 1);
    expect(newcomer.arrivals).toEqual([]);
    await newcomer.runUntil(MIDNIGHT + 2 * DAY);
    expect(newcomer.arrivals.map(({ to, at }) => [to, new Date(at).toISOString()])).toEqual(
      chosen.map(({ email }, place) => [email, new Date(dueAt(MIDNIGHT, place)).toISOString()]),
    );
    for (const shown of card.preview.filter(({ subject }) => subject?.startsWith('A question'))) {
      const [mail] = newcomer.arrivals.filter(({ to }) => to === addressOf(shown.to));
      expect(mail).toMatchObject({ subject: shown.subject, text: shown.body });
    }
    expect(await statsOf(campaign.campaign_id)).toMatchObject({ sent: 58, sandbox: 0, failed: 0 });
  });

  it('lets a recipient unsubscribe by one click without a caller, and never by looking', async () => {
    const [first] = newcomer.arrivals;
    const head = (first?.raw ?? '').replaceAll(/\r\n[ \t]+/g, ' ');
    const link = /^List-Unsubscribe: <(.*)>$/im.exec(head)?.[1] ?? '';
    expect(link.startsWith(`${PUBLIC_URL}/unsubscribe/`)).toBe(true);
    expect(head).toMatch(/^List-Unsubscribe-Post: List-Unsubscribe=One-Click$/im);
    const suppressed = async () =>
      (
        await newcomer.database.query<{ n: number }>(
          'select count(*)::int as n from suppression_entries where email = $1',
          [first?.to],
        )
      )[0]?.n;
    for (const method of ['GET', 'HEAD', 'GET']) {
      expect((await newcomer.visit(link, { method })).status).toBe(200);
    }
    expect(await suppressed()).toBe(0);
    const clicked = await newcomer.visit(link, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'List-Unsubscribe=One-Click',
      redirect: 'error',
    });
    expect(clicked.status).toBe(200);
    expect(await suppressed()).toBe(1);
  });

  it('goes on three local days later, but not to whoever unsubscribed, and tells figures that agree with the mails', {
    timeout: SLOW,
  }, async () => {
    const gone = newcomer.arrivals[0]?.to;
    const before = newcomer.arrivals.length;
    await newcomer.runUntil(MIDNIGHT + 14 * DAY);
    const second = newcomer.arrivals.slice(before);
    const wanted = chosen.map(({ email }) => email).filter((email) => email !== gone);
    expect(second.map(({ to }) => to).toSorted()).toEqual(wanted.toSorted());
    for (const { to, at } of second) {
      const first = newcomer.arrivals.find((mail) => mail.to === to);
      const days = Math.floor(at / DAY) - Math.floor((first?.at ?? 0) / DAY);
      expect(days, to).toBeGreaterThanOrEqual(3);
      const clock = new Date(at);
      expect([1, 2, 3, 4, 5]).toContain(clock.getUTCDay());
      expect([9, 10, 11, 12, 13, 14, 15, 16]).toContain(clock.getUTCHours());
    }
    // Monday's are due on Thursday in their order, the first of whom is gone; and no day has more than forty.
    expect(second[0]?.at).toBe(dueAt(MIDNIGHT + 3 * DAY, 1));
    const days = Map.groupBy(newcomer.arrivals, ({ at }) => Math.floor(at / DAY));
    for (const mails of days.values()) expect(mails.length).toBeLessThanOrEqual(40);

    const id = campaign.campaign_id;
    await eventually(
      () => statsOf(id),
      ({ status }) => status === 'completed',
    );
    expect(await statsOf(id)).toMatchObject({
      total_leads: 60,
      sent: newcomer.arrivals.length,
      queued: 0,
      in_flight: 0,
      failed: 0,
      withheld: 1,
      unknown: 0,
      unsubscribed: 1,
    });
    const { client } = newcomer.service;
    const { steps } = await client.request<{ steps: { step: number; sent: number }[] }>(
      'GET',
      `/api/v1/campaigns/${id}/stats/step-performance`,
    );
    expect(steps.map(({ step, sent }) => [step, sent])).toEqual([
      [1, chosen.length],
      [2, wanted.length],
    ]);
    const { leads: rows } = await client.request<{
      leads: { campaign_lead_id: string; status: string; lead_data: { email: string } }[];
    }>('GET', `/api/v1/campaigns/${id}/leads?page_size=200`);
    expect(rows).toHaveLength(60);
    for (const { campaign_lead_id: leadId, lead_data: data } of rows) {
      const { events } = await client.request<{ events: { event_type: string; occurred_at: string }[] }>(
        'GET',
        `/api/v1/campaigns/${id}/leads/${leadId}/events`,
      );
      const sent = events.filter(({ event_type: type }) => type === 'sent').map((event) => event.occurred_at);
      const arrived = newcomer.arrivals
        .filter(({ to }) => to === data.email)
        .map(({ at }) => new Date(at).toISOString());
      expect(sent, data.email).toEqual(arrived);
    }
    expect(rows.find(({ lead_data: data }) => data.email === gone)?.status).toBe('unsubscribed');
  });
});
