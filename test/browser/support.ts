/** A browser, and the whole service for it: real sockets, a scripted model or the offline one, a real SMTP server. */

import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import { openDatabase, type TestDatabase } from '../support/database.ts';
import { createScriptedModel, type ScriptedAnswer, type ScriptedModel } from '../support/scripted-model.ts';
import { type ServiceHere, startService } from '../support/service.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

export interface Site {
  url: string;
  service: ServiceHere;
  database: TestDatabase;
  /** Not asked with the offline model. */
  model: ScriptedModel;
  /** What the model answers, one a call, in the turn that this message begins. */
  script(message: string, ...answers: (string | ScriptedAnswer)[]): void;
  smtp: SmtpServer;
  close(): Promise<void>;
}

export interface SiteOptions {
  /** `offline`: no model is configured. Default: the scripted one. */
  model?: 'scripted' | 'offline';
  /** Mail goes to a real server and not to the sandbox. */
  sends?: boolean;
  environment?: Record<string, string>;
}

/** Starts the service on a database of its own. */
export async function openSite(options: SiteOptions = {}): Promise<Site> {
  const database = await openDatabase();
  const model = await createScriptedModel();
  const smtp = await startSmtpServer();
  const scripts = new Map<string, (string | ScriptedAnswer)[]>();
  model.otherwise((request) => {
    const asked = request.messages.findLast((message) => message.role === 'user')?.content ?? '';
    return scripts.get(asked)?.shift() ?? 'Nothing is scripted for this.';
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
  });
  return {
    url: service.url,
    service,
    database,
    model,
    smtp,
    script(message, ...answers) {
      scripts.set(message, [...(scripts.get(message) ?? []), ...answers]);
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
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
}

export interface Tab {
  page: Page;
  context: BrowserContext;
  /** What the console said as error or warning, and what nobody caught. */
  troubles: string[];
  /** Requests that went elsewhere than to the service. */
  strangers: string[];
}

/** Opens a tab of a profile of its own; it is closed with the test. */
export async function openTab(browser: Browser, options: BrowserContextOptions = {}): Promise<Tab> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  onTestFinished(() => context.close());
  return tabIn(context);
}

/** Opens another tab of the same profile. */
export async function tabIn(context: BrowserContext): Promise<Tab> {
  const page = await context.newPage();
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
  await page.screenshot({ path: new URL(`./shots/${name}.png`, import.meta.url).pathname });
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
