import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { chromium, type Browser, type CDPSession, type Page } from 'playwright-core';
import { launchChromium } from './chromium.ts';
import { visitorWith, type Visitor } from './visitor.ts';

/**
 * A visitor whose tabs can be frozen. Browsers do not freeze focused pages, and Playwright emulates focus in every
 * page except in the default context of a browser it connects to. That context has no base URL, so each tab opens the
 * site first.
 */
export async function visitorWithFreezer(url: string): Promise<Visitor> {
  const launched = await launchChromium({ args: ['--remote-debugging-port=0'] });
  const found = await chromium.connectOverCDP(await debuggingAddress(launched), { noDefaults: true });
  const visitor = visitorWith(found.contexts()[0]!, url);
  return {
    ...visitor,
    async tab() {
      const page = await visitor.tab();
      await page.goto(url);
      return page;
    },
    async [Symbol.asyncDispose]() {
      await visitor[Symbol.asyncDispose]();
      await launched.close();
    },
  };
}

async function debuggingAddress(browser: Browser): Promise<string> {
  const devtools = await browser.newBrowserCDPSession();
  const { commandLine } = await devtools.send('SystemInfo.getInfo');
  const [, profile = ''] = /--user-data-dir=(\S+)/.exec(commandLine) ?? [];
  const file = join(profile, 'DevToolsActivePort');
  // Created and then written by another thread, perhaps after the response above; nothing announces it.
  for (;;) {
    const [port, path] = existsSync(file) ? (await readFile(file, 'utf8')).split('\n') : [];
    if (path !== undefined) return `ws://localhost:${port}${path}`;
    await setTimeout(10);
  }
}

/** Freezes the tab, as browsers do in the background: timers stop, messages still arrive. */
export async function freeze(page: Page): Promise<void> {
  const session = await devtoolsOf(page);
  await page.evaluate(() => {
    const frozen = new Promise<void>((resolve) => document.addEventListener('freeze', () => resolve(), { once: true }));
    Object.assign(window, { frozen });
  });
  await session.send('Emulation.setFocusEmulationEnabled', { enabled: false });
  await session.send('Page.setWebLifecycleState', { state: 'frozen' });
  // Otherwise the test could pass with a running tab. The response above may come first.
  await page.evaluate(() => (window as unknown as { frozen: Promise<void> }).frozen);
}

export async function thaw(page: Page): Promise<void> {
  await (await devtoolsOf(page)).send('Page.setWebLifecycleState', { state: 'active' });
}

export async function lookAt(page: Page): Promise<void> {
  await (await devtoolsOf(page)).send('Emulation.setFocusEmulationEnabled', { enabled: true });
}

const devtools = new WeakMap<Page, Promise<CDPSession>>();

/** One session per page: its emulation settings end with it. */
function devtoolsOf(page: Page): Promise<CDPSession> {
  const known = devtools.get(page) ?? page.context().newCDPSession(page);
  devtools.set(page, known);
  return known;
}

/** The Chromium from npm has no back/forward cache, so this fires `pagehide` and freezes the page. */
export async function putAway(page: Page): Promise<void> {
  await page.evaluate(() => void dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
  await freeze(page);
}

export async function bringBack(page: Page): Promise<void> {
  await thaw(page);
  await page.evaluate(() => void dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
}
