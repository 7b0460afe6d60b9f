/** The page for who cannot see it, cannot use a mouse, or does not want things to move (research ui.md §6, check 14). */

import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  agentMessages,
  cards,
  composer,
  expectAccessible,
  focused,
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
let site: Site;

beforeAll(async () => {
  browser = await openBrowser();
  site = await openSite({ sends: true });
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

const RICH =
  'Here:\n\n| Name | Company |\n|---|---|\n| Ines | Solaris |\n\n```\ncode\n```\n\n- one\n- [two](https://example.com)\n\n> quoted';

let rounds = 0;
/** A conversation with everything in it, at a card that waits for a mail. */
async function askForEverything(page: Page): Promise<string> {
  rounds += 1;
  const to = `everything${rounds}@solaris.example`;
  site.script(
    `Everything for ${to}`,
    { text: RICH, toolCalls: [{ name: 'list_templates' }] },
    { text: 'I wrote a mail.', toolCalls: [mailCall(to)] },
    'It is done.',
  );
  await page.goto(site.url);
  await say(page, `Everything for ${to}`);
  await cards(page).getByText('Needs your approval').waitFor();
  return to;
}

const WAYS: [string, BrowserContextOptions][] = [
  ['light', {}],
  ['dark', { colorScheme: 'dark' }],
  ['phone', PHONE],
  ['phone-dark', { ...PHONE, colorScheme: 'dark' }],
];

describe('axe finds nothing', () => {
  it.each(WAYS)('in any view: %s', async (name, options) => {
    const { page } = await openTab(browser, options);
    await page.goto(site.url);
    await page.getByRole('button', { name: /See my leads/ }).waitFor();
    await expectAccessible(page, 'welcome');
    await shot(page, `${name}-welcome`);

    await askForEverything(page);
    await page.locator('details.tool summary').first().click();
    await page.locator('details.tool').getByRole('table').waitFor();
    await expectAccessible(page, 'a card that waits');
    await cards(page).scrollIntoViewIfNeeded();
    await page.getByRole('button', { name: /Review$/ }).waitFor({ state: 'hidden' });
    await shot(page, `${name}-card`);

    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Subject').fill('Another subject');
    await page.getByRole('region', { name: 'Your edits' }).waitFor();
    await expectAccessible(page, 'an edit');
    await page.getByRole('button', { name: 'Discard edits' }).click();
    await page.getByRole('button', { name: 'Reject…' }).click();
    await expectAccessible(page, 'a rejection');
    await page.getByRole('button', { name: 'Reject, do nothing' }).click();
    await agentMessages(page).getByText('It is done.').waitFor();
    await expectAccessible(page, 'a decided card');
    await shot(page, `${name}-decided`);

    await askForEverything(page);
    await page.goto(`${site.url}/approvals`);
    await cards(page).first().waitFor();
    await expectAccessible(page, 'the inbox');
    await shot(page, `${name}-inbox`);
    if (name.startsWith('phone')) {
      await page.getByRole('button', { name: 'Conversations', exact: true }).click();
      await page.getByRole('link', { name: 'New chat' }).waitFor();
      await expectAccessible(page, 'the list over the page');
      await shot(page, `${name}-list`);
    }
  });
});

describe('the keyboard', () => {
  /** Presses Tab until the element with this name has the focus. */
  async function tabTo(page: Page, name: RegExp): Promise<void> {
    for (let press = 0; press < 80; press += 1) {
      if (name.test(await focused(page))) return;
      await page.keyboard.press('Tab');
    }
    throw new Error(`Tab never reached ${name}: the focus is on ${await focused(page)}.`);
  }

  it('alone comes from an empty page to a sent mail, and the focus stays on the card (check 14)', async () => {
    const { page } = await openTab(browser);
    site.script('Write to keys', { toolCalls: [mailCall('keys@solaris.example')] }, 'Sent by keys.');
    await page.goto(site.url);
    await composer(page).waitFor();
    await tabTo(page, /^textarea/);
    await page.keyboard.type('Write to keys');
    await page.keyboard.press('Enter');
    await cards(page).getByText('Needs your approval').waitFor();
    // It is not focused by itself, and Enter in the composer never approves.
    expect(await focused(page)).toMatch(/^textarea/);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Shift+Tab');
    await tabTo(page, /^button Send to keys@solaris\.example/);
    expect(site.smtp.takenFor('keys@solaris.example')).toHaveLength(0);
    await page.keyboard.press('Enter');
    await page.getByText('Sent.', { exact: true }).waitFor();
    await agentMessages(page).getByText('Sent by keys.').waitFor();
    expect(await focused(page)).toMatch(/^h2 Send an email to keys@solaris\.example/);
    expect(site.smtp.takenFor('keys@solaris.example')).toHaveLength(1);
  });

  it('never loses its place: forms open and close, buttons go, rows go', async () => {
    const { page } = await openTab(browser);
    const to = await askForEverything(page);
    const press = async (name: RegExp) => {
      await page.getByRole('button', { name }).first().focus();
      await page.keyboard.press('Enter');
    };
    await press(/^Reject…/);
    await expect.poll(() => focused(page)).toMatch(/^textarea/);
    await page.keyboard.press('Escape');
    await expect.poll(() => focused(page)).toBe('button Reject…');
    await press(/^Edit/);
    await expect.poll(() => focused(page)).toMatch(/^input/);
    await press(/^Back/);
    await expect.poll(() => focused(page)).toBe('button Edit');
    await press(/^Reject…/);
    await press(/^Reject, do nothing/);
    await page.getByText('You rejected this').waitFor();
    await expect.poll(() => focused(page)).toMatch(/^h2/);
    await agentMessages(page).getByText('It is done.').waitFor();
    site.script(`Everything for ${to}`, 'And again.');
    await press(/^Ask this again/);
    await agentMessages(page).getByText('And again.').waitFor();
    expect(await focused(page)).not.toBe('body');
    await press(/^Menu of Everything/);
    await page.keyboard.press('ArrowDown');
    expect(await focused(page)).toBe('button Archive');
    await page.keyboard.press('Escape');
    expect(await focused(page)).toMatch(/^button Menu of/);
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page
      .getByText('This conversation is archived')
      .or(page.getByText('Restore the conversation'))
      .first()
      .waitFor();
    await expect.poll(() => focused(page)).not.toBe('body');
    expect(await focused(page)).not.toMatch(/^button Menu of Everything for everything\d+@solaris.example$/);
    await press(/^Restore the conversation/);
    await expect.poll(() => composer(page).isEnabled()).toBe(true);
    await expect.poll(() => focused(page)).toMatch(/^textarea/);
  });
});

describe('a screen reader', () => {
  it('is told the boundaries of an answer and not its words (check 14)', async () => {
    const words = Array.from({ length: 200 }, (_, index) => `word${index} `);
    const gate = Promise.withResolvers<void>();
    site.script('Speak', { text: [...words.slice(0, 100), gate.promise, ...words.slice(100)] });
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await composer(page).waitFor();
    await page.evaluate(() => {
      const said: string[] = [];
      Object.assign(window, { said });
      for (const region of document.querySelectorAll(
        '[aria-live], [role=status], [role=log], [role=alert]',
      )) {
        new MutationObserver(() => said.push(region.textContent ?? '')).observe(region, {
          childList: true,
          subtree: true,
          characterData: true,
        });
      }
    });
    await say(page, 'Speak');
    await agentMessages(page).getByText('word99').waitFor();
    gate.resolve();
    await page.getByRole('button', { name: 'Copy the answer' }).waitFor();
    const said = () => page.evaluate((): string[] => Reflect.get(window, 'said'));
    await expect.poll(async () => (await said()).at(-1)).toBe('The answer is there.');
    expect(await said()).toContain('Overture is answering.');
    expect((await said()).length).toBeLessThan(8);
    // Nothing else in the page speaks by itself.
    expect(await page.locator('[role=log], [aria-live=assertive]').count()).toBe(0);
  });
});

describe('who wants less motion', () => {
  it.each([
    ['reduce', false],
    ['no-preference', true],
  ] as const)('gets it: %s', async (reducedMotion, moves) => {
    const gate = Promise.withResolvers<void>();
    site.script(`Move ${reducedMotion}`, { text: ['It begins', gate.promise, ' and ends.'] });
    const { page } = await openTab(browser, { reducedMotion });
    await page.goto(site.url);
    await say(page, `Move ${reducedMotion}`);
    await agentMessages(page).getByText('It begins').waitFor();
    expect(await page.evaluate(() => document.getAnimations().length > 0)).toBe(moves);
    gate.resolve();
    await page.getByRole('button', { name: 'Copy the answer' }).waitFor();
  });
});
