/** Text from outside never acts: it stands there as text, wherever it comes from (research ui.md §6, check 15). */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  agentMessages,
  cards,
  openBrowser,
  openSite,
  openTab,
  type Site,
  say,
  shot,
  userMessages,
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

const MARKUP = '<img src=x onerror="window.taken=1"><script>window.taken=1</script>';
const LINKS = [
  '[press me](javascript:window.taken=1)',
  '[data](data:text/html,<script>window.taken=1</script>)',
  '![picture](http://stranger.example/pixel.png)',
  '[fine](https://fine.example/page)',
  '<a href="javascript:window.taken=1" onclick="window.taken=1">markup link</a>',
  '<iframe src="http://stranger.example/"></iframe><svg onload="window.taken=1"></svg>',
  '<style>body{display:none}</style><form action="http://stranger.example/"><input></form>',
].join('\n\n');
const BIDI = 'invoice\u202Efdp.exe';
const HUGE = 'W'.repeat(5_000);
const HOSTILE = `${MARKUP} ${BIDI} ${HUGE}`;

/** Holds that a page with hostile text in it is a page like any other. */
async function expectHarmless(page: Page): Promise<void> {
  expect(await page.evaluate(() => Reflect.get(window, 'taken'))).toBeUndefined();
  expect(
    await page
      .locator('main img, main iframe, main script, main style, main form, main [onerror], main [onclick]')
      .count(),
  ).toBe(0);
  const addresses = await page
    .locator('main a')
    .evaluateAll((links) => links.map((link) => link.getAttribute('href') ?? ''));
  expect(addresses.filter((address) => !/^(https?:\/\/|mailto:|\/)/.test(address))).toEqual([]);
  expect(
    await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
  ).toBe(0);
  expect(await page.locator('main').evaluate((main) => main.scrollWidth - main.clientWidth)).toBe(0);
}

it('in a message, an answer, a lead, a tool’s result, a mail and a title: no dialog, no request, no navigation', async () => {
  const { page, troubles, strangers } = await openTab(browser);
  const dialogs: string[] = [];
  page.on('dialog', async (dialog) => {
    dialogs.push(dialog.message());
    await dialog.dismiss();
  });
  const popups: string[] = [];
  page.context().on('page', (popup) => popups.push(popup.url()));
  await site.database.query('update leads set first_name = $1, company = $1', [HOSTILE]);
  // Text from outside is in the conversation: the mail can only go to a lead.
  const [lead] = await site.database.query<{ id: string }>('select id from leads order by email limit 1');
  const asked = `${MARKUP} ${BIDI}`;
  site.script(
    asked,
    { text: `${LINKS}\n\n${HOSTILE}`, toolCalls: [{ name: 'search_leads', args: { limit: 5 } }] },
    {
      text: 'I wrote a mail.',
      toolCalls: [
        {
          name: 'send_email',
          args: {
            lead_id: lead?.id,
            subject: `Hello ${MARKUP}`,
            body: `Hello,\n\n${LINKS}\n\n${HOSTILE}`,
          },
        },
      ],
    },
    'It is done.',
  );
  await page.goto(site.url);
  await say(page, asked);
  const card = cards(page);
  await card.getByText('Needs your approval').waitFor();

  await userMessages(page).getByText(MARKUP).waitFor();
  await agentMessages(page).getByText('window.taken=1').first().waitFor();
  const fine = page.getByRole('link', { name: 'fine' });
  expect(await fine.getAttribute('rel')).toBe('noopener noreferrer nofollow');
  expect(await page.getByRole('link', { name: 'press me' }).count()).toBe(0);
  await agentMessages(page).getByText('press me').first().click();
  await page.locator('details.tool summary').first().click();
  await page.locator('details.tool').getByRole('table').waitFor();
  await page.locator('.mail-body').getByText('<iframe src="http://stranger.example/">').waitFor();
  await expectHarmless(page);
  await shot(page, 'hostile');

  // The list and the inbox tell of it too.
  await page.getByRole('link', { name: /^Approvals/ }).click();
  await cards(page).getByText('Needs your approval').waitFor();
  await expectHarmless(page);
  const row = page.getByRole('navigation').getByRole('listitem').first();
  const badge = await row.locator('.badge').boundingBox();
  const title = await row.locator('.row-title').boundingBox();
  // Words that run the other way turn nothing around beside them.
  expect(badge?.x ?? 0).toBeGreaterThanOrEqual((title?.x ?? 0) + (title?.width ?? 0));

  await page.goBack();
  // Such a mail has grave warnings; a person has to say that they were read.
  await card.getByLabel('I have read the warnings above').check();
  await card.locator('.button.primary').click();
  await page.getByText('Sent.', { exact: true }).waitFor();
  await agentMessages(page).getByText('It is done.').waitFor();
  await page.reload();
  await agentMessages(page).getByText('It is done.').waitFor();
  await expectHarmless(page);
  expect({ dialogs, popups, strangers, troubles }).toEqual({
    dialogs: [],
    popups: [],
    strangers: [],
    troubles: [],
  });
});
