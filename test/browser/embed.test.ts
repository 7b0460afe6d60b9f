/** The widget in other people's pages: `/embed.js`, one element, a shadow root, and only on origins that were named. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPerson, JWT_ENVIRONMENT } from '../support/people.ts';
import {
  agentMessages,
  cards,
  composer,
  expectAccessible,
  focused,
  openBrowser,
  openSite,
  openTab,
  type Site,
  say,
  shot,
  userMessages,
} from './support.ts';

interface Host {
  origin: string;
  /** The pages of the host by path; `SERVICE` stands for the service's address. */
  pages: Map<string, string>;
  close(): void;
}

/** A page of somebody else's, with a strict policy of its own and a style that would spoil ours. */
function hostPage(body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Acme CRM</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css"></head>
<body><main><h1>Acme CRM</h1><p id="words">Their own words.</p><label>Note <input id="note"></label></main><script src="SERVICE/embed.js" async></script>${body}</body></html>`;
}

const SPOILING =
  'button{display:none!important} *{letter-spacing:9px} p{color:rgb(150,0,0)} textarea{height:3px}';

async function openHost(serviceUrl: () => string): Promise<Host> {
  const pages = new Map<string, string>();
  const server = createServer((request, response) => {
    const page = pages.get(request.url ?? '');
    if (request.url === '/style.css') {
      response
        .writeHead(200, { 'content-type': 'text/css' })
        .end(`${SPOILING} main{font:16px sans-serif;padding:24px}`);
    } else if (page === undefined) {
      response.writeHead(404).end();
    } else {
      const service = serviceUrl();
      response.writeHead(200, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': `default-src 'none'; script-src ${service}; connect-src ${service}; style-src 'self'; img-src data:`,
      });
      response.end(page.replaceAll('SERVICE', service));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    pages,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

let browser: Browser;
let site: Site;
let friend: Host;
let stranger: Host;
let token: string;

beforeAll(async () => {
  browser = await openBrowser();
  const serviceUrl = () => site.url;
  friend = await openHost(serviceUrl);
  stranger = await openHost(serviceUrl);
  site = await openSite({ sends: true, environment: { ...JWT_ENVIRONMENT, CORS_ORIGINS: friend.origin } });
  const person = await createPerson(site.url, { user: 'dana' });
  token = person.token;
  await person.post('/api/v1/sender-profiles/', {
    profile_name: 'Dana',
    sender_data: { from_name: 'Dana', from_email: 'dana@acme.example', postal_address: '1 Street, Town' },
    is_default: true,
  });
  const file = new FormData();
  file.set('file', new File(['email,name\nines@solaris.example,Ines\nlater@solaris.example,Lea'], 'two.csv'));
  await person.ask('POST', '/api/v1/datasets/import', { body: file });
});
afterAll(async () => {
  await browser.close();
  friend.close();
  stranger.close();
  await site.close();
});

/** What a host page says is text from outside: recipients must then be leads. */
async function mailTo(address: string) {
  const [lead] = await site.database.query<{ id: string }>('select id from leads where email = $1', [
    address,
  ]);
  return { name: 'send_email', args: { lead_id: lead?.id, subject: 'Hello', body: 'Shall we talk?' } };
}

const launcher = (page: Page) => page.getByRole('button', { name: /^Ask Acme/ });
const panel = (page: Page) => page.getByRole('region', { name: 'Ask Acme', exact: true });

describe('the widget', () => {
  it('is at most 60 KB packed', async () => {
    const answer = await fetch(`${site.url}/embed.js`, { headers: { 'accept-encoding': 'gzip' } });
    expect(answer.headers.get('content-encoding')).toBe('gzip');
    const bytes = Number(answer.headers.get('content-length'));
    expect(bytes).toBeGreaterThan(20_000);
    expect(bytes).toBeLessThanOrEqual(60_000);
  });

  it('talks, sends along what the page says of itself, asks for approval, and stays open over the pages of its host', async () => {
    const to = 'ines@solaris.example';
    site.script('Write to Ines', { text: 'I wrote a mail.', toolCalls: [await mailTo(to)] }, 'It is done.');
    const element = `<overture-chat heading="Ask Acme" token="${token}" page-context='{"campaign": {"name": "Q4 CFO"}}'></overture-chat>`;
    friend.pages.set('/', hostPage(element)).set('/next', hostPage(element));
    const { page, troubles } = await openTab(browser);
    await page.goto(`${friend.origin}/`);
    await launcher(page).click();
    await panel(page).getByText('Q4 CFO').waitFor();
    expect(await focused(page)).toMatch(/^textarea/);
    await shot(page, 'embed-open');
    await say(page, 'Write to Ines');
    await cards(page).getByText('Needs your approval').waitFor();
    await userMessages(page).getByText('Q4 CFO').waitFor();
    await expectAccessible(page, 'the widget at a card');
    await shot(page, 'embed');
    expect(JSON.stringify(site.model.calls.at(-1)?.request.messages)).toContain('Q4 CFO');

    // Their page is as it was, and its style does not reach in.
    expect(await page.title()).toBe('Acme CRM');
    expect(page.url()).toBe(`${friend.origin}/`);
    expect(await page.locator('#words').evaluate((words) => getComputedStyle(words).color)).toBe(
      'rgb(150, 0, 0)',
    );
    const inside = await cards(page)
      .locator('.consequence')
      .evaluate((words) => [getComputedStyle(words).color, getComputedStyle(words).letterSpacing]);
    expect(inside[0]).not.toBe('rgb(150, 0, 0)');
    expect(inside[1]).not.toBe('9px');

    await page.goto(`${friend.origin}/next`);
    await launcher(page).click();
    await cards(page).getByRole('button', { name: `Send to` }).click();
    await cards(page).getByText('Sent.', { exact: true }).waitFor();
    await agentMessages(page).getByText('It is done.').waitFor();
    expect(site.smtp.takenFor(to)).toHaveLength(1);
    expect(await focused(page)).toMatch(/^h2 Send an email/);
    await page.keyboard.press('Escape');
    await panel(page).waitFor({ state: 'hidden' });
    expect(await focused(page)).toMatch(/^button Ask Acme/);
    expect(troubles).toEqual([]);
  });

  it('leads to a card that waits in another of the person’s conversations', async () => {
    const to = 'later@solaris.example';
    site.script('Write later', { toolCalls: [await mailTo(to)] }, 'Later is now.');
    friend.pages.set(
      '/waits',
      hostPage(`<overture-chat heading="Ask Acme" token="${token}" open></overture-chat>`),
    );
    const { page } = await openTab(browser);
    await page.goto(`${friend.origin}/waits`);
    await say(page, 'Write later');
    await cards(page).getByText('Needs your approval').waitFor();
    await panel(page).getByRole('button', { name: 'New chat' }).click();
    await cards(page).waitFor({ state: 'hidden' });
    await panel(page).getByRole('button', { name: 'Close' }).click();
    await page.getByRole('button', { name: 'Ask Acme, 1 approval waits' }).click();
    await panel(page).getByRole('button', { name: 'Approve' }).click();
    await cards(page).getByRole('button', { name: `Send to` }).click();
    await agentMessages(page).getByText('Later is now.').waitFor();
    expect(site.smtp.takenFor(to)).toHaveLength(1);
  });

  it('takes its token by hand, from an attribute that comes later, or from a function', async () => {
    friend.pages.set('/bare', hostPage('<overture-chat heading="Ask Acme" open></overture-chat>'));
    const { page } = await openTab(browser);
    await page.goto(`${friend.origin}/bare`);
    await page.getByRole('dialog', { name: 'Sign in to Overture' }).waitFor();
    await shot(page, 'embed-sign-in');
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('button', { name: /See my leads/ }).waitFor();
    await expect.poll(() => focused(page)).toMatch(/^textarea/);

    const { page: other } = await openTab(browser);
    await other.goto(`${friend.origin}/bare`);
    await other.getByRole('dialog', { name: 'Sign in to Overture' }).waitFor();
    await other
      .locator('overture-chat')
      .evaluate((element, value) => element.setAttribute('token', value), token);
    await other.getByRole('dialog').waitFor({ state: 'hidden' });

    friend.pages.set('/function', hostPage(''));
    const { page: third } = await openTab(browser);
    await third.goto(`${friend.origin}/function`);
    await third.waitForFunction(() => customElements.get('overture-chat') !== undefined);
    await third.evaluate((value) => {
      const element = Object.assign(document.createElement('overture-chat'), {
        tokenSource: async () => value,
      });
      element.setAttribute('heading', 'Ask Acme');
      element.setAttribute('open', '');
      document.body.append(element);
    }, token);
    await composer(third).waitFor();
    await third.getByRole('button', { name: /See my leads/ }).waitFor();
    expect(await third.getByRole('dialog').count()).toBe(0);
  });

  it('leaves nothing running when it is taken out of the page', async () => {
    friend.pages.set(
      '/leaves',
      hostPage(`<overture-chat heading="Ask Acme" token="${token}" open></overture-chat>`),
    );
    const { page } = await openTab(browser);
    const open = new Set<string>();
    page.on('request', (request) => request.url().endsWith('/agent/stream') && open.add(request.url()));
    page.on('requestfailed', (request) => open.delete(request.url()));
    await page.goto(`${friend.origin}/leaves`);
    await expect.poll(() => open.size).toBe(1);
    await page.locator('overture-chat').evaluate((element) => element.remove());
    await expect.poll(() => open.size).toBe(0);
    // Their page's own drops are theirs.
    expect(
      await page.evaluate(() =>
        document.dispatchEvent(new DragEvent('drop', { cancelable: true, bubbles: true })),
      ),
    ).toBe(true);
  });

  it('gets no word from the service on an origin that was not named', async () => {
    stranger.pages.set(
      '/',
      hostPage(`<overture-chat heading="Ask Acme" token="${token}" open></overture-chat>`),
    );
    const { page, troubles } = await openTab(browser);
    const answers: number[] = [];
    page.on('requestfinished', async (request) => {
      if (request.url().includes('/api/')) answers.push((await request.response())?.status() ?? 0);
    });
    await page.goto(`${stranger.origin}/`);
    await page.getByText('Connection lost').waitFor();
    expect(troubles.some((trouble) => trouble.includes('CORS policy'))).toBe(true);
    expect(answers.filter((status) => status === 200)).toEqual([]);
  });
});

it('is one plain script without a foreign address in it', async () => {
  const script = await (await fetch(`${site.url}/embed.js`)).text();
  expect(script).not.toMatch(/\beval\(|new Function\(/);
  const addresses = new Set([...script.matchAll(/https?:\/\/[\w.-]+/g)].map(([address]) => address));
  expect([...addresses].filter((address) => address !== 'http://www.w3.org')).toEqual([]);
});
