/** The chat: first picture, sending, streaming, reload, stop, scrolling, writing. Numbers are those of research ui.md §6. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Ledger } from '../../src/resources/turns/effects.ts';
import {
  agentMessages,
  bestOf,
  composer,
  openBrowser,
  openSite,
  openTab,
  type Site,
  say,
  shot,
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

const RICH = `Here is what I found:

| Name | Company |
|---|---:|
| Ines Keller | Solaris Bank |

- **two** points
- and \`code\`

\`\`\`ts
const answer = 42;
\`\`\`
`;

describe('the first picture', () => {
  it('shows a composer without an error, a stranger or an unsafe policy (check 1)', async () => {
    const { page, troubles, strangers } = await openTab(browser);
    const answer = await page.goto(site.url);
    await composer(page).waitFor();
    await page.getByText('credits left').waitFor();
    const policy = answer?.headers()['content-security-policy'] ?? '';
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(troubles).toEqual([]);
    expect(strangers).toEqual([]);
    expect(await page.getByText('Offline model').count()).toBe(0);
    await shot(page, 'welcome');
  });

  it('keeps a policy under which nothing foreign runs, and breaks it nowhere', async () => {
    site.script('Break it', RICH);
    const { page, troubles } = await openTab(browser);
    await page.addInitScript(() => {
      const broken: string[] = [];
      Object.assign(window, { broken });
      document.addEventListener('securitypolicyviolation', (event) => broken.push(event.effectiveDirective));
    });
    const broken = () => page.evaluate((): string[] => Reflect.get(window, 'broken'));
    await page.goto(site.url);
    await say(page, 'Break it');
    await page.getByRole('button', { name: 'Copy the answer' }).waitFor();
    await page.getByRole('link', { name: /^Approvals/ }).click();
    await page.getByText('Nothing waits for you').waitFor();
    expect(await broken()).toEqual([]);
    expect(troubles).toEqual([]);
    // What would break it is refused, and would have been seen above.
    const refused = await page.evaluate(() => {
      const picture = document.createElement('img');
      picture.src = 'http://stranger.example/x.png';
      document.body.append(picture);
      const attempts = [
        () => Object.assign(document.createElement('script'), { src: 'http://stranger.example/x.js' }),
        () => Object.assign(document.createElement('div'), { innerHTML: '<b onclick="x()">text</b>' }),
      ];
      return attempts.map((attempt) => {
        try {
          attempt();
          return null;
        } catch (error) {
          return error instanceof Error ? error.name : String(error);
        }
      });
    });
    expect(refused).toEqual(['TypeError', 'TypeError']);
    await expect.poll(broken).toContain('img-src');
  });

  it('offers suggestions that fill the composer', async () => {
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await page.getByRole('button', { name: /See my leads/ }).click();
    await expect.poll(() => composer(page).inputValue()).toBe('Show my leads');
    expect(await composer(page).evaluate((element) => element === document.activeElement)).toBe(true);
  });

  it('loads at most 120 KB of packed JavaScript', async () => {
    const { page } = await openTab(browser);
    let bytes = 0;
    page.on('response', async (response) => {
      if (response.url().endsWith('.js')) bytes += Number(response.headers()['content-length']);
    });
    await page.goto(site.url);
    await page.getByText('credits left').waitFor();
    expect(bytes).toBeGreaterThan(50_000);
    expect(bytes).toBeLessThanOrEqual(120_000);
  });
});

/** Presses Enter in the page itself; answers how many milliseconds the bubble took. */
function pressSend(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const began = performance.now();
    const field = document.querySelector('textarea');
    field?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
    while (document.querySelector('.bubble') === null) await new Promise(requestAnimationFrame);
    return performance.now() - began;
  });
}

describe('a message', () => {
  it('stands in its bubble within 100 ms, and the answer is rendered from Markdown (check 2)', async () => {
    const gate = Promise.withResolvers<void>();
    site.script('Find Ines', { before: gate.promise, text: RICH });
    const { page, troubles } = await openTab(browser);
    await page.goto(site.url);
    await composer(page).fill('Find Ines');
    await pressSend(page);
    await page.getByText('Working…').waitFor();
    await shot(page, 'working');
    gate.resolve();
    const answer = agentMessages(page).last();
    await answer.getByRole('cell', { name: 'Solaris Bank' }).waitFor();
    await answer.getByText('const answer = 42;').waitFor();
    expect(await answer.getByRole('listitem').count()).toBe(2);
    await answer.getByRole('button', { name: 'Copy the answer' }).waitFor();
    await shot(page, 'markdown');
    expect(await userMessages(page).count()).toBe(1);
    expect(troubles).toEqual([]);
  });

  it('stands in its bubble within 100 ms (check 2)', async () => {
    const { page } = await openTab(browser);
    const took = await bestOf(async () => {
      await page.goto(site.url);
      await composer(page).fill('Be quick');
      return pressSend(page);
    });
    expect(took).toBeLessThan(100);
  });

  it('is copied, and asked again, by a click', async () => {
    site.script('Say it', 'The **answer**.', 'Another answer.');
    const { page } = await openTab(browser, { permissions: ['clipboard-read', 'clipboard-write'] });
    await page.goto(site.url);
    await say(page, 'Say it');
    await page.getByRole('button', { name: 'Copy the answer' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('The **answer**.');
    await page.getByRole('button', { name: 'Ask this again' }).click();
    await agentMessages(page).getByText('Another answer.').waitFor();
    expect(await userMessages(page).count()).toBe(2);
  });

  it('shows how far a tool has come', async () => {
    const held = Promise.withResolvers<void>();
    const slow = await openSite({
      wrap(name, port) {
        if (name !== 'ledger') return port;
        const { inside } = port as Ledger;
        const wait: Ledger['inside'] = async (...call) => {
          const result = await inside(...call);
          await held.promise;
          return result;
        };
        return { ...port, inside: wait };
      },
    });
    onTestFinished(() => slow.close());
    slow.script('Find some', { toolCalls: [{ name: 'find_leads', args: { company: 'Fable' } }] }, 'Found.');
    const { page } = await openTab(browser);
    await page.goto(slow.url);
    await say(page, 'Find some');
    const tool = page.locator('details.tool');
    await tool.getByText('Finding leads').waitFor();
    await tool.getByRole('progressbar').waitFor();
    expect(await tool.getByText(/^\d+ of \d+ · /).count()).toBe(1);
    await shot(page, 'progress');
    held.resolve();
    await tool.getByText('Found leads').waitFor();
    expect(await tool.getByRole('progressbar').count()).toBe(0);
  });

  it('gives the conversation its title, in the list and in the tab', async () => {
    site.script('Plan the autumn campaign', 'Sure.');
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await say(page, 'Plan the autumn campaign');
    await page.getByRole('heading', { level: 1, name: 'Plan the autumn campaign' }).waitFor();
    await page.getByRole('navigation').getByRole('link', { name: 'Plan the autumn campaign' }).waitFor();
    await expect.poll(() => page.title()).toBe('Plan the autumn campaign · Overture');
  });

  it('survives a reload at half of its answer: nothing is lost or doubled (check 3)', async () => {
    const gate = Promise.withResolvers<void>();
    site.script('Tell me', { text: ['First half of the answer', gate.promise, ' and the second half.'] });
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await say(page, 'Tell me');
    await agentMessages(page).getByText('First half of the answer').waitFor();
    await page.reload();
    await agentMessages(page).getByText('First half of the answer').waitFor();
    gate.resolve();
    await agentMessages(page).getByText('First half of the answer and the second half.').waitFor();
    await page.getByRole('button', { name: 'Copy the answer' }).waitFor();
    expect(await userMessages(page).count()).toBe(1);
    expect(await agentMessages(page).count()).toBe(1);
  });

  it('is really stopped after a reload, and what was written stays, marked (check 12)', async () => {
    const gate = Promise.withResolvers<void>();
    site.script('Talk', { text: ['This goes on', gate.promise, ' for ever.'] });
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await say(page, 'Talk');
    await agentMessages(page).getByText('This goes on').waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'Stop the answer' }).click();
    await page.getByText('Stopped. What was written so far is kept.').waitFor();
    const call = site.model.calls.at(-1);
    expect(await call?.ended).toBe('client-closed');
    await agentMessages(page).getByText('This goes on').waitFor();
    await shot(page, 'stopped');
    await page.reload();
    await page.getByText('Stopped. What was written so far is kept.').waitFor();
    gate.resolve();
  });

  it('that fails says why in its place, and is tried again by a click', async () => {
    site.script('Try this', { status: 401 }, 'Now it works.');
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await say(page, 'Try this');
    const again = page.getByRole('button', { name: 'Try again' });
    await again.waitFor();
    await shot(page, 'failed');
    await page.reload();
    await again.click();
    await agentMessages(page).getByText('Now it works.').waitFor();
    expect(await userMessages(page).count()).toBe(2);
  });

  it('shows tool calls as lines with arguments and result on demand, progress and usage', async () => {
    site.script(
      'Search',
      { toolCalls: [{ name: 'search_leads', args: { query: 'a', limit: 5 } }] },
      'I looked.',
    );
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await say(page, 'Search');
    const tool = page.locator('details.tool');
    await tool.getByText('Searched leads').waitFor();
    expect(await tool.getByRole('table').count()).toBe(0);
    await tool.locator('summary').first().click();
    await tool.getByRole('table').waitFor();
    await page.getByText(/\d+ tokens/).waitFor();
    await shot(page, 'tool');
  });
});

describe('writing', () => {
  it('keeps drafts of each conversation over a reload', async () => {
    site.script('Hello', 'Yes?');
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await composer(page).fill('half a thought');
    await page.reload();
    expect(await composer(page).inputValue()).toBe('half a thought');
    await say(page, 'Hello');
    await agentMessages(page).getByText('Yes?').waitFor();
    await composer(page).fill('second thought');
    await page.getByRole('link', { name: 'New chat' }).click();
    expect(await composer(page).inputValue()).toBe('');
    await page.goBack();
    await expect.poll(() => composer(page).inputValue()).toBe('second thought');
  });

  it('does not send a composing Enter; Shift+Enter makes a line (check 14)', async () => {
    const { page, context } = await openTab(browser);
    await page.goto(site.url);
    await composer(page).focus();
    const devtools = await context.newCDPSession(page);
    await devtools.send('Input.imeSetComposition', { text: 'にほ', selectionStart: 2, selectionEnd: 2 });
    await devtools.send('Input.dispatchKeyEvent', {
      type: 'keyDown',
      key: 'Enter',
      code: 'Enter',
      windowsVirtualKeyCode: 229,
    });
    await devtools.send('Input.insertText', { text: '日本' });
    expect(await userMessages(page).count()).toBe(0);
    expect(await composer(page).inputValue()).toBe('日本');
    await composer(page).press('Shift+Enter');
    expect(await composer(page).inputValue()).toBe('日本\n');
    expect(await userMessages(page).count()).toBe(0);
  });
});

describe('reading', () => {
  it('stays at the end while an answer streams, and where a person reads it does not move (check 13)', async () => {
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    const lines = (from: number) =>
      Array.from({ length: 40 }, (_, index) => `Line ${from + index}\n\n`).join('');
    site.script('Write much', {
      text: [lines(0), first.promise, lines(40), second.promise, lines(80)],
    });
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await say(page, 'Write much');
    await page.getByText('Line 39').waitFor();
    const scroller = page.locator('.messages');
    const fromEnd = () =>
      scroller.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight);
    await expect.poll(fromEnd).toBeLessThan(5);
    first.resolve();
    await page.getByText('Line 79').waitFor();
    await expect.poll(fromEnd).toBeLessThan(5);
    await scroller.evaluate((element) => element.scrollTo(0, 300));
    await page.getByRole('button', { name: 'Follow the answer' }).waitFor();
    second.resolve();
    await page.getByText('Line 119').waitFor({ state: 'attached' });
    expect(Math.abs((await scroller.evaluate((element) => element.scrollTop)) - 300)).toBeLessThanOrEqual(5);
    await page.getByRole('button', { name: 'Latest' }).click();
    await expect.poll(fromEnd).toBeLessThan(5);
  });

  it('opens a conversation of 600 messages in under 2 s with fewer than 60 in the page (check 13)', async () => {
    site.script('Long talk', 'One.');
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await say(page, 'Long talk');
    await agentMessages(page).getByText('One.').waitFor();
    const threadId = await threadOf(page);
    await site.database.query(
      `insert into conversation_messages (id, conversation_id, workspace_id, turn_id, seq, role, status, content, parts, metadata, created_at)
       select gen_random_uuid(), m.conversation_id, m.workspace_id, m.turn_id, -600 + n, case when n % 2 = 0 then 'user' else 'assistant' end, 'complete',
              'Old message ' || n, jsonb_build_array(jsonb_build_object('type', 'text', 'call', 0, 'text', 'Old **message** ' || n)), '{}', now() - interval '2 days' + n * interval '1 minute'
         from conversation_messages m, generate_series(0, 597) n where m.conversation_id = $1 and m.role = 'user'`,
      [threadId],
    );
    const took = await bestOf(async () => {
      await page.goto(`${site.url}/t/${threadId}`);
      return page.evaluate(async () => {
        while (document.querySelectorAll('.message').length < 20) await new Promise(requestAnimationFrame);
        return performance.now();
      });
    });
    expect(took).toBeLessThan(2_000);
    expect(await page.locator('.message').count()).toBeLessThan(60);
    const before = await page.locator('.message').count();
    await page.getByRole('button', { name: 'Show earlier messages' }).click();
    await expect.poll(() => page.locator('.message').count()).toBeGreaterThan(before);
  });

  it('mixes nothing when another conversation is opened while an answer streams', async () => {
    const gate = Promise.withResolvers<void>();
    site.script('Red', { text: ['The red answer begins', gate.promise, ' and ends.'] });
    site.script('Blue', 'The blue answer.');
    const { page } = await openTab(browser);
    await page.goto(site.url);
    await say(page, 'Red');
    await page.getByText('The red answer begins').waitFor();
    await page.getByRole('link', { name: 'New chat' }).click();
    await say(page, 'Blue');
    await agentMessages(page).getByText('The blue answer.').waitFor();
    gate.resolve();
    await expect.poll(() => page.getByRole('navigation').getByText('running').count()).toBe(0);
    expect(await page.getByText('The red answer').count()).toBe(0);
    await page.getByRole('link', { name: 'Red' }).click();
    await agentMessages(page).getByText('The red answer begins and ends.').waitFor();
    expect(await agentMessages(page).count()).toBe(1);
  });
});
