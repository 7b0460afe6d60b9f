/** What a card of the page does beyond deciding: a test to oneself, an undo, who is written to (research ui.md §4). */

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPerson, JWT_ENVIRONMENT } from '../support/people.ts';
import {
  agentMessages,
  cards,
  expectAccessible,
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
} from './support.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
});
afterAll(() => browser.close());

const DARK = { colorScheme: 'dark' } as const;

describe('a test of a mail', () => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite({ sends: true, environment: JWT_ENVIRONMENT });
  });
  afterAll(() => site.close());

  /** Signs somebody in with a sender of their own, and comes to a card that waits for a mail to `to`. */
  async function askAs(page: Page, user: string, to: string): Promise<void> {
    const person = await createPerson(site.url, { user });
    await person.post('/api/v1/sender-profiles/', {
      profile_name: user,
      sender_data: { from_name: user, from_email: `${user}@acme.example`, postal_address: '1 Street, Town' },
      is_default: true,
    });
    site.script(`Write to ${to}`, { toolCalls: [mailCall(to)] }, 'It is out.');
    await page.goto(`${site.url}/#token=${person.token}`);
    // On a phone it stands in the list, which is closed.
    await page.getByText(`${user}@example.com`).waitFor({ state: 'attached' });
    await say(page, `Write to ${to}`);
    await cards(page).getByText('Needs your approval').waitFor();
  }

  it('comes to the person who presses the button, with the edit that is shown; the card still waits', async () => {
    const { page, troubles } = await openTab(browser);
    await askAs(page, 'dana', 'ines@solaris.example');
    const button = page.getByRole('button', { name: 'Send a test to me' });
    await button.dblclick();
    await page.getByText('Sent to dana@example.com.').waitFor();
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Subject').fill('Other words');
    await page.getByRole('region', { name: 'Your edits' }).waitFor();
    await expect.poll(() => page.getByText('Sent to dana@example.com.').count()).toBe(0);
    await button.click();
    await page.getByText('Sent to dana@example.com.').waitFor();
    await shot(page, 'test-mail');
    await expectAccessible(page, 'a test that was sent');
    const subjects = site.smtp.takenFor('dana@example.com').map((mail) => mail.subject);
    expect(subjects).toEqual(['[Test] Hello from Overture', '[Test] Other words']);
    expect(site.smtp.takenFor('ines@solaris.example')).toEqual([]);
    await page.getByRole('button', { name: 'Send with edits' }).click();
    await page.getByText('Sent.', { exact: true }).waitFor();
    expect(await button.count()).toBe(0);
    expect(troubles).toEqual([]);
  });

  it('says why it could not be sent, in the dark and on a phone', async () => {
    const { page } = await openTab(browser, { ...PHONE, ...DARK });
    await askAs(page, 'erin', 'lea@solaris.example');
    site.smtp.treat((mail) => (mail.subject.startsWith('[Test]') ? 'refuse' : 'take'));
    const button = page.getByRole('button', { name: 'Send a test to me' });
    await button.tap();
    await page.getByText('The mail server refused the mail').waitFor();
    site.smtp.treat(() => 'take');
    expect((await button.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    await button.scrollIntoViewIfNeeded();
    await shot(page, 'test-mail-phone-dark');
    await expectAccessible(page, 'a test that was refused');
  });

  it('is not offered to a key, which has no address, and the card says so', async () => {
    const { page } = await openTab(browser);
    const person = await createPerson(site.url, { user: 'fay' });
    await person.post('/api/v1/sender-profiles/', {
      profile_name: 'fay',
      sender_data: { from_name: 'Fay', from_email: 'fay@acme.example', postal_address: '1 Street, Town' },
      is_default: true,
    });
    const { key } = await person.post('/api/v1/api-keys', { name: 'a page' });
    site.script('Write to key@solaris.example', { toolCalls: [mailCall('key@solaris.example')] });
    await page.goto(`${site.url}/#token=${key}`);
    await page.getByRole('textbox', { name: 'Message' }).waitFor();
    await say(page, 'Write to key@solaris.example');
    await page.getByText('No test can be sent to you').waitFor();
    expect(await page.getByRole('button', { name: 'Send a test to me' }).count()).toBe(0);
  });
});

describe('a test in dev mode', () => {
  it('goes to the mailbox of the sender, and stays in the outbox of a sandbox', async () => {
    const site = await openSite();
    const { page } = await openTab(browser);
    site.script('Write', { toolCalls: [mailCall('ines@solaris.example')] });
    await page.goto(site.url);
    await say(page, 'Write');
    await page.getByRole('button', { name: 'Send a test to me' }).click();
    await page.getByText(/^Kept in the outbox for \S+@\S+: this is the sandbox\.$/).waitFor();
    const { mails } = await site.service.client.request<{
      mails: { from: string; to: string; test: boolean }[];
    }>('GET', '/api/v1/outbox');
    expect(mails).toMatchObject([{ test: true, status: 'sandbox' }]);
    expect(mails[0]?.from).toContain(`<${mails[0]?.to}>`);
    await site.close();
  });
});

describe('a launch that was approved', () => {
  /** Comes to a launch that was approved and has sent nothing: its window opens in some months. */
  async function launch(page: Page, site: Site): Promise<void> {
    const [campaign] = await site.database.query<{ id: string }>('select id from campaigns');
    const call = {
      name: 'launch_campaign',
      args: { campaign_id: campaign?.id, start_date: '2099-03-02T09:00:00Z' },
    };
    await site.database.query(`update campaigns set launch_type = 'scheduled', start_date = '2099-03-02'`);
    site.script('Launch it', { toolCalls: [call] }, 'Off it goes.');
    await page.goto(site.url);
    await say(page, 'Launch it');
    await cards(page).locator('.button.primary').click();
    await cards(page)
      .getByText(/^Launched: \d+ recipients/)
      .waitFor();
  }

  it('is undone while nothing was sent, live in another tab, and says so for ever', async () => {
    const site = await openSite();
    const { page, context, troubles } = await openTab(browser);
    await launch(page, site);
    const button = (tab: Page) => cards(tab).getByRole('button', { name: 'Undo the launch' });
    await button(page).waitFor();
    await shot(page, 'undo');
    await expectAccessible(page, 'a launch that can be undone');
    const { page: other } = await tabIn(context);
    await other.goto(page.url());
    await button(other).waitFor();
    await button(page).focus();
    await page.keyboard.press('Enter');
    const undone = /^Undone by you .*: nothing was sent, and the campaign is a draft again\.$/;
    for (const tab of [page, other]) {
      await cards(tab).getByText(undone).waitFor();
      expect(await button(tab).count()).toBe(0);
      await cards(tab).getByText('Approved', { exact: true }).waitFor();
    }
    expect(await focused(page)).toMatch(/^h2 Launch "Q4 campaign" to 58 leads/);
    await page.reload();
    await cards(page).getByText(undone).waitFor();
    await shot(page, 'undone');
    const { page: phone } = await openTab(browser, { ...PHONE, ...DARK });
    await phone.goto(page.url());
    await cards(phone).getByText(undone).waitFor();
    await shot(phone, 'undone-phone-dark');
    await expectAccessible(phone, 'a launch that was undone');
    expect(await site.database.query('select status from campaigns')).toEqual([{ status: 'draft' }]);
    expect(await site.database.query('select 1 from outbox')).toEqual([]);
    site.script('Was it sent?', { toolCalls: [{ name: 'list_campaigns', args: {} }] }, 'I have looked.');
    await say(page, 'Was it sent?');
    await agentMessages(page).getByText('I have looked.').waitFor();
    expect(site.model.calls.at(-1)?.request.messages.at(-1)?.content).toMatch(/"status": ?"draft"/);
    expect(troubles).toEqual([]);
    await site.close();
  });

  it('loses its undo when the first mail has left, and says why where somebody was too late', async () => {
    const site = await openSite();
    const { page } = await openTab(browser);
    await launch(page, site);
    const button = cards(page).getByRole('button', { name: 'Undo the launch' });
    await button.waitFor();
    // A mail that is on its way, told to the page only by the refusal: the press comes before the next look.
    await page.route('**/launches', (route) => route.abort());
    await site.database.query(
      `update outbox set status = 'sandbox', started_at = now() where id = (select id from outbox order by due_at limit 1)`,
    );
    await button.click();
    await cards(page).getByText('1 mail has left, so the launch cannot be undone any more.').waitFor();
    await page.unroute('**/launches');
    await expect.poll(() => button.count()).toBe(0);
    await shot(page, 'undo-late');
    await page.reload();
    await cards(page)
      .getByText(/^Launched: /)
      .waitFor();
    expect(await button.count()).toBe(0);
    await site.close();
  });
});

describe('a card that waits', () => {
  it('says who asks for whom, leads to the message, and lists who gets it: searched, and as a file', async () => {
    const site = await openSite();
    const { page, troubles } = await openTab(browser);
    const [campaign] = await site.database.query<{ id: string }>('select id from campaigns');
    const call = { name: 'launch_campaign', args: { campaign_id: campaign?.id } };
    site.script('Tell me much', Array.from({ length: 120 }, (_, line) => `Line ${line}.`).join('\n\n'));
    site.script('Launch it', { toolCalls: [call] });
    await page.goto(site.url);
    await say(page, 'Tell me much');
    await agentMessages(page).getByText('Line 119.').waitFor();
    await say(page, 'Launch it');
    const card = cards(page);
    await card.getByText('The agent, for you').waitFor();
    await card.getByText('Who gets it').click();
    await card.getByText(/^20 of 60 shown\.$/).waitFor();
    const rows = card.getByRole('table').locator('tbody tr');
    expect(await rows.count()).toBe(20);
    await shot(page, 'recipients');
    await expectAccessible(page, 'the recipients of a launch');
    await card.getByRole('searchbox', { name: 'Search the recipients' }).fill('do-not-contact');
    await card.getByText(/^(\d+) of \1 shown\.$/).waitFor();
    for (const text of await rows.allInnerTexts()) expect(text).toContain('on the do-not-contact list');
    await card.getByRole('searchbox').fill('');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      card.getByRole('button', { name: 'Download CSV' }).click(),
    ]);
    const lines = readFileSync(await download.path(), 'utf8')
      .trimEnd()
      .split('\r\n');
    expect(download.suggestedFilename()).toBe('recipients.csv');
    expect(lines).toHaveLength(61);
    expect(lines[0]).toBe('Address,Name,Company,Left out');
    expect(lines[1]).toMatch(/^\S+@\S+,[^,]+,[^,]*,$/);

    const link = card.getByRole('link', { name: 'See the message that led here' });
    await link.click();
    await page.waitForURL(/#turn-/);
    const message = page.getByRole('article', { name: 'You' }).last();
    await expect.poll(() => focused(page)).toMatch(/^article You/);
    await expectHittable(message);
    // The same from the inbox, and in a browser that never was here.
    await page.getByRole('link', { name: /^Approvals/ }).click();
    await link.click();
    await expect.poll(() => focused(page)).toMatch(/^article You/);
    await expectHittable(message);
    const { page: cold } = await openTab(browser, { ...PHONE, ...DARK });
    await cold.goto(page.url());
    await expect.poll(() => focused(cold)).toMatch(/^article You/);
    await expectHittable(cold.getByRole('article', { name: 'You' }).last());
    await cards(cold).getByText('Who gets it').click();
    await cards(cold)
      .getByText(/^20 of 60 shown\.$/)
      .waitFor();
    await cards(cold).getByRole('searchbox').scrollIntoViewIfNeeded();
    await shot(cold, 'recipients-phone-dark');
    await expectAccessible(cold, 'the recipients of a launch, on a phone');
    expect(troubles).toEqual([]);
    await site.close();
  });

  it('says whose it is to somebody else of the workspace, and that its list has changed', async () => {
    const site = await openSite({ environment: JWT_ENVIRONMENT });
    const workspaceId = randomUUID();
    const dana = await createPerson(site.url, { user: 'dana', workspaceId });
    const erin = await createPerson(site.url, { user: 'erin', workspaceId });
    const form = new FormData();
    form.append(
      'file',
      new Blob(['email,first_name\nines@a.example,Ines\nlea@b.example,Lea\n']),
      'people.csv',
    );
    const dataset = await dana.post('/api/v1/datasets/import', form);
    await dana.post('/api/v1/sender-profiles/', {
      profile_name: 'Dana',
      sender_data: { from_name: 'Dana', from_email: 'dana@acme.example', postal_address: '1 Street, Town' },
      is_default: true,
    });
    const variant = { label: 'A', weight: 100, type: 'TEMPLATE', subject: 'Hi', body: 'Hello' };
    const campaign = await dana.post('/api/v1/campaigns/', {
      name: 'Two',
      dataset_id: dataset.dataset_id,
      steps: [{ step: 1, delay_days: 0, variants: [variant] }],
    });
    const call = { name: 'launch_campaign', args: { campaign_id: campaign.campaign_id } };
    site.script('Launch two', { toolCalls: [call] });
    await dana.post('/api/v1/agent/chat', { message: 'Launch two' });
    await dana.post('/api/v1/suppression/', { email: 'lea@b.example' });
    const { page } = await openTab(browser);
    await page.goto(`${site.url}/#token=${erin.token}`);
    await page.getByRole('link', { name: /^Approvals/ }).click();
    await cards(page).getByText('The agent, for dana@example.com').waitFor();
    expect(await page.getByRole('link', { name: 'See the message that led here' }).count()).toBe(0);
    await cards(page).getByText('Who gets it').click();
    await cards(page).getByText('This has changed since the card was made.').waitFor();
    await cards(page).getByText('on the do-not-contact list').waitFor();
    await shot(page, 'recipients-changed');
    await site.close();
  });
});
