/** What a card of the page does beyond deciding: a test to oneself, an undo, who is written to (research ui.md §4). */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPerson, JWT_ENVIRONMENT } from '../support/people.ts';
import {
  cards,
  expectAccessible,
  mailCall,
  openBrowser,
  openSite,
  openTab,
  PHONE,
  type Site,
  say,
  shot,
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
