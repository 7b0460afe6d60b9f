/** Approvals in the page: what is shown, what is sent, who was first (research ui.md §4 and §6). */

import { randomUUID } from 'node:crypto';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createPerson, JWT_ENVIRONMENT } from '../support/people.ts';
import {
  agentMessages,
  cards,
  composer,
  expectHittable,
  focused,
  mailCall,
  openBrowser,
  openSite,
  openTab,
  PHONE,
  type Site,
  say,
  shot,
  tabIn,
  threadOf,
} from './support.ts';

let browser: Browser;
let site: Site;

beforeAll(async () => {
  browser = await openBrowser();
  site = await openSite({ sends: true });
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

let addresses = 0;
function newAddress(): string {
  addresses += 1;
  return `person${addresses}@solaris.example`;
}

/** Comes to a card that waits for one mail; answers the address. */
async function askToSend(page: Page, after = 'It is done.'): Promise<string> {
  const to = newAddress();
  site.script(`Write to ${to}`, { text: 'I wrote a mail.', toolCalls: [mailCall(to)] }, after);
  await page.goto(site.url);
  await say(page, `Write to ${to}`);
  await cards(page).getByText('Needs your approval').waitFor();
  return to;
}

const primary = (page: Page) => cards(page).last().locator('.button.primary');

describe('a card', () => {
  it('shows facts, checks, what will be sent and what follows before its buttons, and survives its browser (check 4)', async () => {
    const { page, context, troubles } = await openTab(browser);
    const to = await askToSend(page);
    await shot(page, 'card');
    const url = page.url();
    await context.close();
    const { page: later } = await openTab(browser);
    await later.goto(url);
    const card = cards(later);
    await card.getByRole('heading', { name: new RegExp(to) }).waitFor();
    const text = await card.innerText();
    const order = [
      'Needs your approval',
      'From',
      'would you like to talk next week?',
      'cannot be taken back',
      `Send to ${to}`,
    ];
    const places = order.map((words) => text.lastIndexOf(words));
    expect(places.every((place) => place >= 0)).toBe(true);
    expect([...places].sort((one, other) => one - other)).toEqual(places);
    await primary(later).click();
    await later.getByText('Sent.', { exact: true }).waitFor();
    expect(site.smtp.takenFor(to)).toHaveLength(1);
    await agentMessages(later).getByText('It is done.').waitFor();
    await shot(later, 'card-sent');
    expect(troubles).toEqual([]);
  });

  it('is decided once by a double click and two tabs; the other tab changes without a reload (check 6)', async () => {
    const { page, context } = await openTab(browser);
    const to = await askToSend(page);
    const { page: other } = await tabIn(context);
    await other.goto(page.url());
    await primary(other).waitFor();
    const statuses: number[] = [];
    for (const tab of [page, other]) {
      tab.on('response', (response) => {
        if (response.url().endsWith('/decision')) statuses.push(response.status());
      });
    }
    const press = (tab: Page) =>
      tab.evaluate(() => {
        const button = document.querySelector<HTMLElement>('.approval .button.primary');
        button?.click();
        button?.click();
      });
    await Promise.all([press(page), press(other)]);
    for (const tab of [page, other]) {
      await tab.getByText('You approved this').waitFor();
      await agentMessages(tab).getByText('It is done.').waitFor();
    }
    expect(site.smtp.takenFor(to)).toHaveLength(1);
    expect(statuses.sort()).toEqual([202, 409]);
  });

  it('is edited in place: typed, shown old and new, sent and kept as edited (check 7)', async () => {
    const { page } = await openTab(browser);
    const to = await askToSend(page);
    await page.getByRole('button', { name: 'Edit' }).click();
    const subject = page.getByLabel('Subject');
    await subject.fill('Three questions for you');
    const body = page.getByLabel('Body');
    await body.fill((await body.inputValue()).replace('next week', 'on Thursday'));
    await page.getByRole('region', { name: 'Your edits' }).waitFor();
    await page.locator('.mail').getByText('Three questions for you').waitFor();
    await page.locator('del', { hasText: 'next week' }).waitFor();
    await page.locator('ins', { hasText: 'on Thursday' }).waitFor();
    await shot(page, 'card-edited');
    const send = page.getByRole('button', { name: 'Send with edits' });
    await send.click();
    await page.getByText('You approved this with edits').waitFor();
    await page.getByText('Sent.', { exact: true }).waitFor();
    const [mail] = site.smtp.takenFor(to);
    expect(mail?.subject).toBe('Three questions for you');
    expect(mail?.text).toContain('on Thursday');
    await page.reload();
    await page.getByText('Edited before approval').waitFor();
    await page.locator('del', { hasText: 'Hello from Overture' }).waitFor();
    await shot(page, 'card-edited-sent');
  });

  it('refuses an edit that does not fit, at its field', async () => {
    const { page } = await openTab(browser);
    await askToSend(page);
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Subject').fill('');
    await page.getByText('This cannot be empty.').waitFor();
    expect(await primary(page).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Discard edits' }).click();
    expect(await primary(page).isEnabled()).toBe(true);
  });

  it('is rejected with a reason that the agent hears; nothing is sent (check 8)', async () => {
    const { page } = await openTab(browser);
    const to = await askToSend(page, 'I will write it in other words.');
    const calls = site.model.calls.length;
    await page.getByRole('button', { name: 'Reject…' }).click();
    await page.getByRole('button', { name: 'Wrong wording' }).click();
    await page.keyboard.type('too stiff');
    await shot(page, 'card-reject');
    await page.getByRole('button', { name: 'Reject, do nothing' }).click();
    await page.getByText('You rejected this').waitFor();
    await page.locator('q', { hasText: 'Wrong wording: too stiff' }).waitFor();
    await agentMessages(page).getByText('I will write it in other words.').waitFor();
    const told = site.model.calls[calls]?.request.messages.at(-1)?.content ?? '';
    expect(told).toContain('Wrong wording: too stiff');
    expect(site.smtp.takenFor(to)).toHaveLength(0);
  });

  it('that has expired loses its buttons and does nothing (check 9)', async () => {
    const { page } = await openTab(browser);
    const to = await askToSend(page);
    const threadId = await threadOf(page);
    await site.database.query(
      `update approvals set expires_at = now() - interval '1 second' where conversation_id = $1`,
      [threadId],
    );
    await cards(page).getByText('Expired').waitFor();
    expect(await primary(page).count()).toBe(0);
    await page.getByRole('button', { name: 'Ask again' }).waitFor();
    await shot(page, 'card-expired');
    const [approval] = (await site.service.client.conversation(threadId)).messages
      .flatMap((message) => message.parts)
      .flatMap((part) => (part.type === 'approval' ? [part.approval] : []));
    const late = site.service.client.decide(threadId, approval?.approval_id ?? '', {
      decision: 'approve',
      args_hash: approval?.args_hash ?? '',
    });
    await expect(late).rejects.toMatchObject({ code: 'APPROVAL_EXPIRED', status: 410 });
    expect(site.smtp.takenFor(to)).toHaveLength(0);
    site.script(/has expired. Please propose it again/, 'I will.');
    await page.getByRole('button', { name: 'Ask again' }).click();
    await agentMessages(page).getByText('I will.').waitFor();
  });

  it('whose mail would differ from what was shown does nothing and asks anew (check 9)', async () => {
    const { page } = await openTab(browser);
    const to = await askToSend(page);
    await site.database.query(
      `update sender_profiles set sender_data = jsonb_set(sender_data, '{from_name}', '"Somebody Else"')`,
    );
    await primary(page).click();
    await expect.poll(() => cards(page).count()).toBe(2);
    await page.getByText('has changed since it was shown').first().waitFor();
    expect(site.smtp.takenFor(to)).toHaveLength(0);
    await shot(page, 'card-stale');
    await primary(page).click();
    await page.getByText('Sent.', { exact: true }).waitFor();
    await page.getByText('Nothing was done; a new card asks again.').waitFor();
    expect(site.smtp.takenFor(to)).toHaveLength(1);
  });

  it('asks what happened where nobody knows', async () => {
    const { page } = await openTab(browser);
    const to = await askToSend(page, 'Good to know.');
    site.smtp.treat((mail) => (mail.to.includes(to) ? 'drop' : 'take'));
    await primary(page).click();
    await page.getByText('Outcome unknown').waitFor();
    await shot(page, 'card-outcome');
    await page.getByRole('button', { name: 'It happened' }).click();
    await page.getByText('You said that it happened').waitFor();
    await agentMessages(page).getByText('Good to know.').waitFor();
    site.smtp.treat(() => 'take');
    expect(site.smtp.takenFor(to)).toHaveLength(1);
  });

  it('with a large number works only when the number was typed', async () => {
    const { page } = await openTab(browser);
    await askToSend(page);
    const threadId = await threadOf(page);
    const facts = JSON.stringify([
      { label: 'Recipients', value: '1,200' },
      { label: 'Credits', value: '1,200 of 2,000' },
    ]);
    await site.database.query(
      `update conversation_messages set parts = (select jsonb_agg(case when p->>'type' = 'approval' then jsonb_set(p, '{approval,facts}', $2::jsonb) else p end)
         from jsonb_array_elements(parts) p) where conversation_id = $1 and role = 'assistant'`,
      [threadId, facts],
    );
    await page.reload();
    const field = page.getByLabel('to confirm the number of recipients');
    await field.waitFor();
    expect(await primary(page).isDisabled()).toBe(true);
    await field.fill('120');
    expect(await primary(page).isDisabled()).toBe(true);
    await field.fill('1200');
    expect(await primary(page).isEnabled()).toBe(true);
    await shot(page, 'card-number');
  });

  it('gives way to a message that says what to change', async () => {
    const { page } = await openTab(browser);
    const to = await askToSend(page);
    site.script('Wait, leave it', 'All right.');
    await say(page, 'Wait, leave it');
    await cards(page).getByText('Given up', { exact: true }).waitFor();
    await agentMessages(page).getByText('All right.').waitFor();
    expect(site.smtp.takenFor(to)).toHaveLength(0);
  });
});

describe('a card of a launch', () => {
  it('says whom, when and for how much, shows mails one by one, and takes a number as a number (check 7)', async () => {
    const calm = await openSite();
    onTestFinished(() => calm.close());
    const [campaign] = await calm.database.query<{ id: string }>('select id from campaigns');
    const call = { name: 'launch_campaign', args: { campaign_id: campaign?.id } };
    calm.script('Launch it', { text: 'Here is the launch.', toolCalls: [call] }, 'Off it goes.');
    const { page, troubles } = await openTab(browser);
    await page.goto(calm.url);
    await page.getByRole('button', { name: 'Launch a campaign' }).waitFor();
    await say(page, 'Launch it');
    const card = cards(page);
    await card.getByRole('heading', { name: 'Launch "Q4 campaign" to 58 leads' }).waitFor();
    await shot(page, 'launch');
    const fact = (label: string) =>
      card.locator('dl > div', { hasText: label }).first().locator('dd').innerText();
    const leads = /^(\d+) of 60 leads$/.exec(await fact('Recipients'))?.[1];
    expect(Number(leads)).toBeGreaterThan(0);
    expect(await fact('Left out')).toContain('do-not-contact list');
    expect(await fact('First mail')).toMatch(/\d\d:\d\d \(/);
    await card.getByRole('button', { name: `Launch to ${leads} leads` }).waitFor();
    const mail = card.locator('.mail');
    const first = await mail.innerText();
    await card.getByRole('button', { name: 'Next mail' }).click();
    await card.getByText(/^Preview 2 of \d+ · /).waitFor();
    expect(await mail.innerText()).not.toBe(first);

    await card.getByRole('button', { name: 'Edit' }).click();
    const limit = card.getByLabel('Daily limit');
    expect(await limit.getAttribute('placeholder')).toBe('40');
    await limit.fill('0');
    await card.getByText('At least 1.').waitFor();
    await limit.fill('25');
    await card.getByText('25 mails a day').waitFor();
    const edits = card.getByRole('region', { name: 'Your edits' });
    expect(await edits.locator('del, ins').allInnerTexts()).toEqual(['40', '25']);
    await shot(page, 'launch-edited');
    await card.getByRole('button', { name: 'Launch with edits' }).click();
    await card.getByText('You approved this with edits').waitFor();
    await card.getByText(`Launched: ${leads} recipients`).waitFor();
    await agentMessages(page).getByText('Off it goes.').waitFor();
    await shot(page, 'launched');
    const kept = await calm.database.query<Record<string, unknown>>(
      `select a.card -> 'args' -> 'daily_limit' as proposed, a.executed_args -> 'daily_limit' as executed, a.decided_by, c.daily_limit
         from approvals a, campaigns c`,
    );
    expect(kept).toEqual([
      { proposed: null, executed: 25, decided_by: expect.stringMatching(/^user:/), daily_limit: 25 },
    ]);
    expect(troubles).toEqual([]);
  });
});

describe('on a phone', () => {
  it('the facts stand above the button, both are in sight, and a thumb decides', async () => {
    const { page } = await openTab(browser, PHONE);
    const to = await askToSend(page);
    const card = cards(page);
    const button = card.getByRole('button', { name: `Send to ${to}` });
    const boxOf = async (name: string) => {
      const box = await card.locator(name).first().boundingBox();
      if (box === null) throw new Error(`${name} is not shown`);
      return box;
    };
    await expect.poll(async () => (await boxOf('h2')).y).toBeLessThan(220);
    const [heading, facts, act] = [await boxOf('h2'), await boxOf('.facts'), await boxOf('.button.primary')];
    expect(heading.y).toBeGreaterThan(54);
    expect(facts.y).toBeGreaterThan(heading.y);
    expect(act.y).toBeGreaterThan(facts.y);
    expect(act.y + act.height).toBeLessThan(844);
    expect(act.height).toBeGreaterThanOrEqual(44);
    await expectHittable(button);
    await expectHittable(card.getByText('From', { exact: true }).first());
    await shot(page, 'phone');
    await button.tap();
    await page.getByText('Sent.', { exact: true }).waitFor();
    expect(site.smtp.takenFor(to)).toHaveLength(1);
  });
});

describe('two people of one workspace', () => {
  it('see the same card; who comes second is told who was first, and it is no error', async () => {
    const shared = await openSite({ sends: true, environment: JWT_ENVIRONMENT });
    onTestFinished(() => shared.close());
    const workspaceId = randomUUID();
    const dana = await createPerson(shared.url, { user: 'dana', workspaceId });
    const erin = await createPerson(shared.url, { user: 'erin', workspaceId });
    await dana.post('/api/v1/sender-profiles/', {
      profile_name: 'Dana',
      sender_data: { from_name: 'Dana', from_email: 'dana@acme.example', postal_address: '1 Street, Town' },
      is_default: true,
    });
    const to = newAddress();
    shared.script('Write', { toolCalls: [mailCall(to)] }, 'It is out.');
    const { page } = await openTab(browser);
    await page.goto(`${shared.url}/#token=${dana.token}`);
    await page.getByText('dana@example.com').waitFor();
    await say(page, 'Write');
    await cards(page).getByText('Needs your approval').waitFor();

    const { page: other } = await openTab(browser);
    await other.goto(`${shared.url}/#token=${erin.token}`);
    await other.getByRole('link', { name: /^Approvals 1/ }).click();
    await cards(other)
      .getByRole('button', { name: `Send to ${to}` })
      .waitFor();
    await Promise.all([
      page.evaluate(() => document.querySelector<HTMLElement>('.approval .button.primary')?.click()),
      other.evaluate(() => document.querySelector<HTMLElement>('.approval .button.primary')?.click()),
    ]);
    await agentMessages(page).getByText('It is out.').waitFor();
    const words = () => Promise.all([page, other].map((tab) => cards(tab).locator('.decided').innerText()));
    await expect
      .poll(async () =>
        (await words())
          .map((one) => one.split(' approved this')[0])
          .sort()
          .join(' '),
      )
      .toMatch(/^(You|dana|erin) (You|dana|erin)$/);
    const [mine = '', theirs = ''] = (await words()).map((one) => one.split(' ')[0]);
    expect([mine, theirs].filter((who) => who === 'You')).toHaveLength(1);
    expect(mine === 'You' ? theirs === 'dana' : mine === 'erin' && theirs === 'You').toBe(true);
    expect(await other.getByRole('alert').count()).toBe(0);
    expect(shared.smtp.takenFor(to)).toHaveLength(1);
  });
});

describe('several cards', () => {
  it('of one turn are decided one by one (check 10)', async () => {
    const { page } = await openTab(browser);
    const [first, second] = [newAddress(), newAddress()];
    site.script('Write to two', { toolCalls: [mailCall(first), mailCall(second)] }, 'One of two.');
    await page.goto(site.url);
    await say(page, 'Write to two');
    await expect.poll(() => cards(page).count()).toBe(2);
    await shot(page, 'two-cards');
    await page.getByRole('button', { name: `Send to ${first}` }).click();
    await cards(page).first().getByText('You approved this').waitFor();
    await cards(page).last().getByRole('button', { name: 'Reject…' }).click();
    await page.getByRole('button', { name: 'Reject, do nothing' }).click();
    await agentMessages(page).getByText('One of two.').waitFor();
    expect(site.smtp.takenFor(first)).toHaveLength(1);
    expect(site.smtp.takenFor(second)).toHaveLength(0);
  });

  it('of one turn are approved together by one request that touches no other turn (check 10)', async () => {
    const { page: elsewhere } = await openTab(browser);
    const other = await askToSend(elsewhere);
    const { page } = await openTab(browser);
    const [first, second] = [newAddress(), newAddress()];
    site.script('Write to both', { toolCalls: [mailCall(first), mailCall(second)] }, 'Both are out.');
    await page.goto(site.url);
    await say(page, 'Write to both');
    const sheet = page.locator('.batch');
    await sheet.waitFor();
    await sheet.scrollIntoViewIfNeeded();
    await shot(page, 'batch');
    await sheet.getByRole('checkbox').first().check();
    await sheet.getByRole('checkbox').last().check();
    await sheet.getByRole('button', { name: /^Approve 2 of 2/ }).click();
    await agentMessages(page).getByText('Both are out.').waitFor();
    expect(site.smtp.takenFor(first)).toHaveLength(1);
    expect(site.smtp.takenFor(second)).toHaveLength(1);
    expect(site.smtp.takenFor(other)).toHaveLength(0);
    await cards(elsewhere).getByText('Needs your approval').waitFor();
  });
});

describe('what waits', () => {
  it('shows in list, title and icon, also of a conversation that is not open, and goes with the decision (check 11)', async () => {
    const { page: idle } = await openTab(browser);
    await idle.goto(site.url);
    const { page } = await openTab(browser);
    const before = await site.database.query<{ n: number }>(
      `select count(*)::int as n from approvals where status = 'pending'`,
    );
    const count = (before[0]?.n ?? 0) + 1;
    await askToSend(page);
    const row = idle.getByRole('navigation').getByRole('listitem').first();
    await expectHittable(row.locator('.badge'));
    await expectHittable(idle.locator('.inbox-link .badge'));
    await expect.poll(() => idle.title()).toMatch(new RegExp(`^\\(${count}\\) `));
    expect(await idle.locator('link[rel=icon]').getAttribute('href')).toContain('waiting');
    await shot(idle, 'badges');
    await primary(page).click();
    await page.getByText('Sent.', { exact: true }).waitFor();
    await expect.poll(() => row.locator('.badge').count()).toBe(0);
    await expect.poll(() => idle.title()).toMatch(count === 1 ? /^[^(]/ : new RegExp(`^\\(${count - 1}\\) `));
  });

  it('is decided in the inbox, and a link leads to the card itself', async () => {
    const { page } = await openTab(browser);
    const to = await askToSend(page);
    await page.getByRole('link', { name: /^Approvals/ }).click();
    const fold = page.locator('details.fold', { hasText: to });
    await fold.waitFor();
    if (!(await fold.evaluate((element: HTMLDetailsElement) => element.open)))
      await fold.locator('summary').first().click();
    await shot(page, 'inbox');
    await fold.getByRole('link', { name: 'Open conversation' }).click();
    await page.waitForURL(/\/t\/[\w-]+#approval-/);
    const card = cards(page);
    await card.waitFor();
    const top = () =>
      card.evaluate(
        (element) =>
          element.getBoundingClientRect().top -
          (element.closest('.messages')?.getBoundingClientRect().top ?? 0),
      );
    await expect.poll(top).toBeLessThan(40);
    expect(await card.getByRole('heading').evaluate((element) => element === document.activeElement)).toBe(
      true,
    );
    // The same link in a browser that never was here: a mail, a chat of the team.
    const { page: cold } = await openTab(browser);
    await cold.goto(page.url());
    await expect.poll(() => focused(cold)).toMatch(new RegExp(`^h2 Send an email to ${to}`));
    await expectHittable(cards(cold).getByRole('heading'));

    await page.goBack();
    await fold.waitFor();
    if (!(await fold.evaluate((element: HTMLDetailsElement) => element.open)))
      await fold.locator('summary').first().click();
    await fold.locator('.button.primary').click();
    await fold.getByText('You approved this').waitFor();
    await expect.poll(() => site.smtp.takenFor(to).length).toBe(1);
    await page.getByRole('button', { name: 'Decided' }).click();
    await page.locator('details.fold', { hasText: to }).waitFor();
    await shot(page, 'inbox-decided');
  });

  it('is told by a notification while nobody looks, if that was allowed', async () => {
    const { page, context } = await openTab(browser, { permissions: ['notifications'] });
    await page.addInitScript(() => {
      const told: string[] = [];
      Object.assign(window, { told });
      class Told {
        static permission = 'granted';
        onclick = null;
        constructor(_title: string, options: { body: string }) {
          told.push(options.body);
        }
        close() {}
      }
      Object.defineProperty(window, 'Notification', { value: Told });
      Object.defineProperty(document, 'hidden', { get: () => true });
    });
    await page.goto(site.url);
    await composer(page).waitFor();
    await page.getByText('credits left').waitFor();
    const { page: other } = await tabIn(context);
    const to = await askToSend(other);
    await expect.poll(() => page.evaluate(() => JSON.stringify(Reflect.get(window, 'told')))).toContain(to);
  });
});
