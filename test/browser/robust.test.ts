/** What the page does when things go wrong: the service is killed, connections break, tokens run out, tabs multiply. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT } from 'jose';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { openDatabase } from '../support/database.ts';
import { createScriptedModel } from '../support/scripted-model.ts';
import { JWT_SECRET, startServiceProcess } from '../support/service.ts';
import {
  agentMessages,
  cards,
  composer,
  mailCall,
  openBrowser,
  openSite,
  openTab,
  type Site,
  say,
  shot,
  tabIn,
  threadOf,
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

async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

/** The service as a process that can be killed and started again at the same address. */
async function openKillable() {
  const database = await openDatabase();
  const model = await createScriptedModel();
  const options = {
    databaseUrl: database.url,
    environment: {
      PORT: await freePort(),
      OPENAI_API_KEY: 'test',
      OPENAI_BASE_URL: model.url,
      OPENAI_MODEL: 'scripted',
    },
  };
  let service = await startServiceProcess(options);
  onTestFinished(async () => {
    await service.kill();
    await model.close();
    await database.close();
  });
  return {
    url: service.url,
    model,
    kill: () => service.kill(),
    async start() {
      service = await startServiceProcess(options);
    },
  };
}

describe('a service that is killed', () => {
  it('at a pending approval: a banner comes and goes by itself, the card still waits, nothing is doubled (check 5)', async () => {
    const killable = await openKillable();
    killable.model.script({ toolCalls: [mailCall('ines@solaris.example')] }, 'Kept.');
    const { page } = await openTab(browser);
    await page.goto(killable.url);
    await say(page, 'Write to Ines');
    await cards(page).getByText('Needs your approval').waitFor();
    await killable.kill();
    await page.getByText('Connection lost').waitFor();
    await shot(page, 'connection-lost');
    await composer(page).fill('a draft meanwhile');
    await killable.start();
    await page.getByText('Connection lost').waitFor({ state: 'hidden' });
    expect(await composer(page).inputValue()).toBe('a draft meanwhile');
    expect(await cards(page).count()).toBe(1);
    expect(await userMessages(page).count()).toBe(1);
    expect(await agentMessages(page).count()).toBe(1);
    await cards(page).getByRole('button', { name: 'Send to ines@solaris.example' }).click();
    await agentMessages(page).getByText('Kept.').waitFor();
  });

  it('in the middle of an answer: the text is told anew and never stands there twice', async () => {
    const killable = await openKillable();
    const never = Promise.withResolvers<void>();
    killable.model.script(
      { text: ['The answer begins here', never.promise] },
      { text: 'The answer begins here and ends well.' },
    );
    const { page } = await openTab(browser);
    await page.goto(killable.url);
    await say(page, 'Answer me');
    await agentMessages(page).getByText('The answer begins here').waitFor();
    // Looks at every frame from now on.
    await page.evaluate(() => {
      const seen: string[] = [];
      Object.assign(window, { seen });
      const look = () => {
        const text = [...document.querySelectorAll('.message.agent')].map((one) => one.textContent).join('|');
        if ((text.match(/The answer begins/g) ?? []).length > 1) seen.push(text);
        requestAnimationFrame(look);
      };
      look();
    });
    await killable.kill();
    await killable.start();
    await agentMessages(page).getByText('The answer begins here and ends well.').waitFor();
    await page.getByRole('button', { name: 'Copy the answer' }).waitFor();
    expect(await page.evaluate(() => Reflect.get(window, 'seen'))).toEqual([]);
    expect(await agentMessages(page).count()).toBe(1);
    expect(await userMessages(page).count()).toBe(1);
  });

  it('before a message is sent: it waits, says so, and goes out once when the service is back', async () => {
    const killable = await openKillable();
    killable.model.otherwise('Here I am.');
    const { page } = await openTab(browser);
    await page.goto(killable.url);
    await page.getByText('credits left').waitFor();
    await killable.kill();
    await say(page, 'Are you there?');
    await page.getByText('Not sent yet.').waitFor();
    await shot(page, 'not-sent');
    await page.reload({ waitUntil: 'commit' }).catch(() => {});
    await killable.start();
    await page.goto(killable.url);
    await agentMessages(page).getByText('Here I am.').waitFor();
    expect(await userMessages(page).count()).toBe(1);
    expect(killable.model.calls).toHaveLength(1);
  });
});

describe('a connection that breaks', () => {
  it('in the middle of an answer: the page goes on from where it stood, without a reload', async () => {
    const half = Promise.withResolvers<void>();
    const rest = Promise.withResolvers<void>();
    site.script('Keep on', {
      text: ['Before the break', half.promise, ', during it', rest.promise, ', and after.'],
    });
    const { page, context } = await openTab(browser);
    await page.goto(site.url);
    await say(page, 'Keep on');
    await agentMessages(page).getByText('Before the break').waitFor();
    await context.setOffline(true);
    half.resolve();
    rest.resolve();
    // The turn is over for the service before the page may listen again.
    const threadId = await threadOf(page);
    await expect.poll(async () => (await site.service.client.conversation(threadId)).status).toBe('idle');
    await context.setOffline(false);
    await agentMessages(page).getByText('Before the break, during it, and after.').waitFor();
    await page.getByRole('button', { name: 'Copy the answer' }).waitFor();
    expect(await agentMessages(page).count()).toBe(1);
    expect(await userMessages(page).count()).toBe(1);
  });
});

describe('tabs', () => {
  it('of one conversation agree, over one connection for what is not open', async () => {
    site.script('Hello tabs', 'Hello both.');
    const { page, context } = await openTab(browser);
    await page.goto(site.url);
    await page.getByText('credits left').waitFor();
    const { page: other } = await tabIn(context);
    const streams: string[] = [];
    for (const tab of [page, other]) {
      tab.on('request', (request) => {
        if (request.url().endsWith('/api/v1/agent/stream')) streams.push(request.url());
      });
    }
    await other.goto(site.url);
    await other.getByText('credits left').waitFor();
    await say(page, 'Hello tabs');
    await other.getByRole('link', { name: 'Hello tabs' }).click();
    await agentMessages(other).getByText('Hello both.').waitFor();
    site.script('And again', 'Again to both.');
    await say(other, 'And again');
    await agentMessages(page).getByText('Again to both.').waitFor();
    expect(await userMessages(page).allInnerTexts()).toEqual(await userMessages(other).allInnerTexts());
    expect(streams).toEqual([]);
  });

  it('that are closed hand the connection on', async () => {
    site.script('First tab', 'One.');
    site.script('Second tab', 'Two.');
    const { page, context } = await openTab(browser);
    await page.goto(site.url);
    await page.getByText('credits left').waitFor();
    const { page: other } = await tabIn(context);
    await other.goto(site.url);
    await other.getByText('credits left').waitFor();
    await page.close();
    const { page: third } = await openTab(browser);
    await third.goto(site.url);
    await say(third, 'First tab');
    await other.getByRole('link', { name: 'First tab' }).waitFor();
  });

  it('that are hidden keep up', async () => {
    const gate = Promise.withResolvers<void>();
    site.script('Hidden', { text: ['Begin', gate.promise, ' and end.'] });
    const { page } = await openTab(browser);
    // As a hidden tab: no frames come.
    await page.addInitScript(() => {
      window.requestAnimationFrame = () => 0;
    });
    await page.goto(site.url);
    await say(page, 'Hidden');
    await agentMessages(page).getByText('Begin').waitFor();
    gate.resolve();
    await agentMessages(page).getByText('Begin and end.').waitFor();
  });
});

describe('a token', () => {
  const secret = new TextEncoder().encode(JWT_SECRET);
  const tokenFor = (seconds: number) =>
    new SignJWT({ email: 'dana@acme.example' })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('dana')
      .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
      .sign(secret);

  it('is asked for once, and one that ran out says so and loses no draft', async () => {
    const guarded = await openSite({ environment: { AUTH_MODE: 'jwt', JWT_SECRET } });
    onTestFinished(() => guarded.close());
    const { page, troubles } = await openTab(browser);
    await page.goto(guarded.url);
    await page.getByRole('dialog', { name: 'Sign in to Overture' }).waitFor();
    await shot(page, 'sign-in');
    await page.getByLabel('Token').fill('nonsense');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('does not accept this token').waitFor();
    await page.getByLabel('Token').fill(await tokenFor(600));
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('dana@acme.example').waitFor();
    await composer(page).fill('my unsent thought');
    const gone = page.getByRole('dialog', { name: 'Your session has ended' });
    // The token that the page holds runs out.
    const old = await tokenFor(-3_600);
    await page.evaluate((token) => localStorage.setItem('overture:token', JSON.stringify(token)), old);
    guarded.script('my unsent thought', 'Received.');
    await composer(page).press('Enter');
    await gone.waitFor();
    await shot(page, 'session-ended');
    await page.getByLabel('Token').fill(await tokenFor(600));
    await page.getByRole('button', { name: 'Continue' }).click();
    await gone.waitFor({ state: 'hidden' });
    await page.getByText('my unsent thought').first().waitFor();
    await agentMessages(page).getByText('Received.').waitFor();
    await page.reload();
    await agentMessages(page).getByText('Received.').waitFor();
    expect(troubles.filter((trouble) => !trouble.includes('401'))).toEqual([]);
  });

  it('handed over in the address is taken and does not stay there', async () => {
    const guarded = await openSite({ environment: { AUTH_MODE: 'jwt', JWT_SECRET } });
    onTestFinished(() => guarded.close());
    const { page } = await openTab(browser);
    await page.goto(`${guarded.url}/#token=${await tokenFor(600)}`);
    await page.getByText('dana@acme.example').waitFor();
    expect(page.url()).toBe(`${guarded.url}/`);
  });
});

describe('the offline model and the sandbox', () => {
  it('are named plainly, and every step can be walked', async () => {
    const offline = await openSite({ model: 'offline' });
    onTestFinished(() => offline.close());
    const { page, troubles } = await openTab(browser);
    await page.goto(offline.url);
    await page.getByText('Offline model').waitFor();
    await page.getByText('Sandbox').waitFor();
    await say(page, 'Show my leads');
    await agentMessages(page).getByRole('table').waitFor();
    const name = await agentMessages(page).getByRole('cell').first().innerText();
    await say(page, `Write to ${name} and send it`);
    await cards(page).getByText('Needs your approval').waitFor();
    await threadOf(page);
    await shot(page, 'offline-card');
    await cards(page).locator('.button.primary').click();
    await cards(page).getByText('Kept in the outbox: this is the sandbox').waitFor();
    expect(troubles).toEqual([]);
  });
});
