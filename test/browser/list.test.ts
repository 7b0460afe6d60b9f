/** The list of conversations, and what is brought to one: a CSV of leads, what the person looks at. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  agentMessages,
  composer,
  expectAccessible,
  openBrowser,
  openSite,
  openTab,
  type Site,
  say,
  shot,
  tabIn,
  userMessages,
} from './support.ts';

let browser: Browser;
let site: Site;

beforeAll(async () => {
  browser = await openBrowser();
  site = await openSite();
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

describe('the list', () => {
  it('is searched, renamed, archived and restored; every tab sees it at once', async () => {
    for (const name of ['Apples', 'Pears', 'Plums']) site.script(`Talk about ${name}`, `${name} it is.`);
    const { page, context } = await openTab(browser);
    const list = page.getByRole('navigation', { name: 'Conversations' });
    const row = (name: string) => list.getByRole('link', { name });
    for (const name of ['Apples', 'Pears', 'Plums']) {
      await page.goto(site.url);
      await say(page, `Talk about ${name}`);
      await agentMessages(page).getByText(`${name} it is.`).waitFor();
    }
    const { page: other } = await tabIn(context);
    await other.goto(site.url);
    await other.getByRole('link', { name: 'Talk about Pears' }).waitFor();
    expect(await list.getByRole('heading', { name: 'Today' }).count()).toBe(1);
    // A tab that is not in front has hardly any frames, and clicks wait for those.
    await page.bringToFront();

    const search = page.getByRole('searchbox', { name: 'Search conversations' });
    await search.fill('pear');
    await row('Talk about Apples').waitFor({ state: 'hidden' });
    expect(await row('Talk about Pears').count()).toBe(1);
    await search.fill('nothing such');
    await page.getByText('Nothing found.').waitFor();
    await search.fill('');
    await row('Talk about Apples').waitFor();

    await page.getByRole('button', { name: 'Menu of Talk about Pears' }).click();
    await page.getByRole('menuitem', { name: 'Rename' }).click();
    const dialog = page.getByRole('dialog', { name: 'Rename the conversation' });
    await expectAccessible(page, 'the dialog of a new name');
    await dialog.getByLabel('Title').fill('Pears in autumn');
    await shot(page, 'rename');
    await dialog.getByRole('button', { name: 'Rename' }).click();
    await row('Pears in autumn').waitFor();
    await other.getByRole('link', { name: 'Pears in autumn' }).waitFor();

    await page.getByRole('button', { name: 'Menu of Pears in autumn' }).click();
    await page.getByRole('menuitem', { name: 'Archive' }).click();
    await row('Pears in autumn').waitFor({ state: 'hidden' });
    await other.getByRole('link', { name: 'Pears in autumn' }).waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Archived' }).click();
    await row('Pears in autumn').click();
    await page.getByRole('heading', { level: 1, name: 'Pears in autumn' }).waitFor();
    await expect.poll(() => composer(page).isDisabled()).toBe(true);
    await shot(page, 'archived');
    await page.getByRole('button', { name: 'Restore the conversation' }).click();
    await expect.poll(() => composer(page).isEnabled()).toBe(true);
    await page.getByRole('button', { name: 'Back to all' }).click();
    await row('Pears in autumn').waitFor();
    await other.getByRole('link', { name: 'Pears in autumn' }).waitFor();
  });
});

const PEOPLE = Array.from(
  { length: 240 },
  (_, index) => `person${index}@fable.example,Given${index},Family${index},Fable Studios,Berlin,x`,
);
const FILE = ['Mail,First,Surname,Firm,Town,Shoe size', ...PEOPLE, PEOPLE[0], 'no address,A,B,C,D,x'].join(
  '\n',
);

describe('a CSV of leads', () => {
  it('is dropped, shows its columns and counts before anything is imported, and goes along with the next message', async () => {
    site.script('How many came?', 'They are in.');
    const { page, troubles } = await openTab(browser);
    const imports: string[] = [];
    page.on('request', (request) => {
      if (request.url().endsWith('/datasets/import')) imports.push(request.url());
    });
    await page.goto(site.url);
    await composer(page).waitFor();
    const drop = await page.evaluateHandle((text) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], 'autumn.csv', { type: 'text/csv' }));
      return transfer;
    }, FILE);
    await page.dispatchEvent('main', 'dragenter', { dataTransfer: drop });
    await page.getByText('Drop the CSV to look into it').waitFor();
    await page.dispatchEvent('main', 'drop', { dataTransfer: drop });
    const panel = page.getByRole('region', { name: 'Import of autumn.csv' });
    await panel.getByText('242 rows, 5 of 6 columns mapped').waitFor();
    const columnOf = (label: string) => panel.getByLabel(label, { exact: false }).first().inputValue();
    expect(await columnOf('Email')).toBe('Mail');
    expect(await columnOf('Company')).toBe('Firm');
    await panel.getByText('First rows of the file').click();
    await panel.getByRole('cell', { name: 'person0@fable.example' }).waitFor();
    await expectAccessible(page, 'an import');
    await shot(page, 'csv');
    // One column more, by hand.
    await panel.getByText('More fields').click();
    await panel.getByLabel('Phone').selectOption('Shoe size');
    await panel.getByText('242 rows, 6 of 6 columns mapped').waitFor();
    expect(imports).toEqual([]);
    expect(await site.database.query(`select 1 from leads where email like '%@fable.example'`)).toHaveLength(
      0,
    );

    await panel.getByRole('button', { name: 'Import 242 rows' }).click();
    await panel.getByText('240 leads imported').waitFor();
    await panel.getByText('1 twice in the file').waitFor();
    await panel.getByText('1 with an address that is none').waitFor();
    await shot(page, 'csv-imported');
    expect(await site.database.query(`select 1 from leads where email like '%@fable.example'`)).toHaveLength(
      240,
    );
    await panel.getByRole('button', { name: 'Done' }).click();
    await page
      .getByRole('list', { name: 'Sent along with your message' })
      .getByText('autumn · 240 leads')
      .waitFor();
    await say(page, 'How many came?');
    await agentMessages(page).getByText('They are in.').waitFor();
    await userMessages(page)
      .getByRole('list', { name: 'Sent along' })
      .getByText('autumn · 240 leads')
      .waitFor();
    expect(JSON.stringify(site.model.calls.at(-1)?.request.messages)).toContain('autumn');
    expect(imports).toHaveLength(1);
    expect(troubles).toEqual([]);
  });

  it('that is none says so and imports nothing', async () => {
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await page.locator('.composer input[type=file]').setInputFiles({
      name: 'picture.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 0]),
    });
    const panel = page.getByRole('region', { name: 'Import of picture.csv' });
    await panel.getByRole('alert').waitFor();
    expect(await panel.getByRole('button', { name: /^Import/ }).count()).toBe(0);
    await shot(page, 'csv-refused');
    await panel.getByRole('button', { name: 'Close the import' }).click();
    await panel.waitFor({ state: 'hidden' });
    await expect
      .poll(() => composer(page).evaluate((element) => element === document.activeElement))
      .toBe(true);
  });
});
