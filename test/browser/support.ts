/** A browser, and the whole service for it: real sockets, a scripted model or the offline one, a real SMTP server. */

import axe from 'axe-core';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import type { AppNeeds } from '../../src/app.ts';
import { openDatabase, type TestDatabase } from '../support/database.ts';
import { createScriptedModel, type ScriptedAnswer, type ScriptedModel } from '../support/scripted-model.ts';
import { type ServiceHere, startService } from '../support/service.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

/** Debian's, unless CHROMIUM names another. */
const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];
/** How long a fact may take to come about; a machine may be busy with other things. */
const PATIENCE_MS = 60_000;

export interface Site {
  url: string;
  service: ServiceHere;
  database: TestDatabase;
  /** Not asked with the offline model. */
  model: ScriptedModel;
  /** What the model answers, one a call, in the turn that this message begins. */
  script(message: string | RegExp, ...answers: (string | ScriptedAnswer)[]): void;
  smtp: SmtpServer;
  close(): Promise<void>;
}

export interface SiteOptions {
  /** `offline`: no model is configured. Default: the scripted one. */
  model?: 'scripted' | 'offline';
  /** Mail goes to a real server and not to the sandbox. */
  sends?: boolean;
  environment?: Record<string, string>;
  /** Breaks or holds a port of the service. */
  wrap?: NonNullable<AppNeeds['wrap']>;
}

/** Starts the service on a database of its own. */
export async function openSite(options: SiteOptions = {}): Promise<Site> {
  const database = await openDatabase();
  const model = await createScriptedModel();
  const smtp = await startSmtpServer();
  const scripts: { message: string | RegExp; answers: (string | ScriptedAnswer)[] }[] = [];
  model.otherwise((request) => {
    const asked = request.messages.findLast((message) => message.role === 'user')?.content ?? '';
    const fits = scripts.find(
      ({ message, answers }) =>
        answers.length > 0 && (typeof message === 'string' ? message === asked : message.test(asked)),
    );
    return fits?.answers.shift() ?? 'Nothing is scripted for this.';
  });
  const service = await startService({
    databaseUrl: database.url,
    environment: {
      ...(options.model === 'offline'
        ? {}
        : { OPENAI_API_KEY: 'test', OPENAI_BASE_URL: model.url, OPENAI_MODEL: 'scripted' }),
      ...(options.sends === true ? { SMTP_URL: smtp.url } : {}),
      ...options.environment,
    },
    ...(options.wrap === undefined ? {} : { wrap: options.wrap }),
  });
  return {
    url: service.url,
    service,
    database,
    model,
    smtp,
    script(message, ...answers) {
      scripts.push({ message, answers });
    },
    async close() {
      await service.close();
      await model.close();
      await smtp.close();
      await database.close();
    },
  };
}

export async function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE, args: FLAGS });
}

export interface Tab {
  page: Page;
  context: BrowserContext;
  /** What the console said as error or warning, and what nobody caught. */
  troubles: string[];
  /** Requests that went elsewhere than to the service. */
  strangers: string[];
}

export const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  isMobile: true,
  hasTouch: true,
};

/** Opens a tab of a profile of its own; it is closed with the test. */
export async function openTab(browser: Browser, options: BrowserContextOptions = {}): Promise<Tab> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  onTestFinished(() => context.close());
  return tabIn(context);
}

/** Opens another tab of the same profile. */
export async function tabIn(context: BrowserContext): Promise<Tab> {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const troubles: string[] = [];
  const strangers: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(String(error)));
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol.startsWith('http') && hostname !== '127.0.0.1' && hostname !== 'localhost')
      strangers.push(request.url());
  });
  return { page, context, troubles, strangers };
}

/** Takes a picture for people to look at. */
export async function shot(page: Page, name: string): Promise<void> {
  await page.screenshot({
    animations: 'disabled',
    path: new URL(`./shots/${name}.png`, import.meta.url).pathname,
  });
}

export function composer(page: Page): Locator {
  return page.getByRole('textbox', { name: 'Message' });
}

/** Types a message and sends it with Enter. */
export async function say(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press('Enter');
}

export function agentMessages(page: Page): Locator {
  return page.getByRole('article', { name: 'Overture' });
}

export function userMessages(page: Page): Locator {
  return page.getByRole('article', { name: 'You' });
}

export function cards(page: Page): Locator {
  return page.locator('.approval');
}

/** The conversation's id, once its first message has made it. */
export async function threadOf(page: Page): Promise<string> {
  await page.waitForURL(/\/t\/[\w-]+/);
  return /\/t\/([\w-]+)/.exec(page.url())?.[1] ?? '';
}

/** Holds that the element is what a click in its middle would hit. */
export async function expectHittable(locator: Locator): Promise<void> {
  await expect
    .poll(() =>
      locator.evaluate((element) => {
        const box = element.getBoundingClientRect();
        const hit = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
        return box.width > 0 && hit !== null && (element.contains(hit) || hit.contains(element));
      }),
    )
    .toBe(true);
}

/** A call of `send_email` as the scripted model makes it. */
export function mailCall(
  to: string,
  subject = 'Hello from Overture',
  body = 'Hello,\n\nwould you like to talk next week?\n\nBest regards,\nAlex',
) {
  return { name: 'send_email', args: { to, subject, body } };
}

/** The element with the focus, in words: its role or tag with its name; `body` where the focus is lost. */
export function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement != null) element = element.shadowRoot.activeElement;
    if (element === null || element === document.body) return 'body';
    const name = element.getAttribute('aria-label') ?? element.textContent;
    return `${element.tagName.toLowerCase()} ${name}`.replaceAll(/\s+/g, ' ').trim();
  });
}

/** Holds that axe finds nothing, and that nothing has to be scrolled sideways. */
export async function expectAccessible(page: Page, view: string): Promise<void> {
  // What moves has half a colour on its way.
  await page.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .map((one) => (one.effect?.getComputedTiming().iterations === Infinity ? null : one.finished)),
    ),
  );
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { violations } = await Reflect.get(window, 'axe').run(document, { resultTypes: ['violations'] });
    return violations.map(
      (one: { id: string; nodes: { html: string; failureSummary: string }[] }) =>
        `${one.id}: ${one.nodes.map((node) => `${node.html.slice(0, 160)} (${node.failureSummary})`).join(' | ')}`,
    );
  });
  expect({ view, found }).toEqual({ view, found: [] });
  const sideways = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect({ view, sideways }).toEqual({ view, sideways: 0 });
}

/** The best of three tries, in milliseconds: a bar for the page, and not for what else the machine does. */
export async function bestOf(measure: () => Promise<number>): Promise<number> {
  const times = [await measure(), await measure(), await measure()];
  return Math.min(...times);
}
