import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { chromium, type Browser, type CDPSession, type Page } from 'playwright-core';
import { launchChromium } from './chromium.ts';
import { visitorWith, type Visitor } from './visitor.ts';

/**
 * A visitor whose tabs can be frozen. Playwright keeps every page in the state of one that is looked at, which no browser
 * freezes; it leaves alone only what is the first context of a browser that it has not launched but found. Addresses are
 * absolute there, so each tab begins at the site.
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

/** The browser writes into its profile which port it was given. */
async function debuggingAddress(browser: Browser): Promise<string> {
  const devtools = await browser.newBrowserCDPSession();
  const { commandLine } = await devtools.send('SystemInfo.getInfo');
  const [, profile = ''] = /--user-data-dir=(\S+)/.exec(commandLine) ?? [];
  const file = join(profile, 'DevToolsActivePort');
  // By another thread than the one that has just answered.
  while (!existsSync(file)) await setTimeout(10);
  const [port, path] = (await readFile(file, 'utf8')).split('\n');
  return `ws://localhost:${port}${path}`;
}

/** What a browser does with a tab that nobody has looked at for long: its timers stand still. Messages still get to it. */
export async function freeze(page: Page): Promise<void> {
  const session = await devtoolsOf(page);
  await page.evaluate(() => {
    document.addEventListener('freeze', () => Object.assign(window, { frozen: true }), { once: true });
  });
  await session.send('Emulation.setFocusEmulationEnabled', { enabled: false });
  await session.send('Page.setWebLifecycleState', { state: 'frozen' });
  // Otherwise the story would be about a tab that goes on.
  if (!(await page.evaluate(() => 'frozen' in window))) throw new Error('The tab does not freeze.');
}

/** It goes on, and nobody looks at it yet. */
export async function thaw(page: Page): Promise<void> {
  await (await devtoolsOf(page)).send('Page.setWebLifecycleState', { state: 'active' });
}

/** The person turns to the tab, after it was thawed. */
export async function lookAt(page: Page): Promise<void> {
  await (await devtoolsOf(page)).send('Emulation.setFocusEmulationEnabled', { enabled: true });
}

const devtools = new WeakMap<Page, Promise<CDPSession>>();

/** The same one each time: what it has set ends with it. */
function devtoolsOf(page: Page): Promise<CDPSession> {
  const known = devtools.get(page) ?? page.context().newCDPSession(page);
  devtools.set(page, known);
  return known;
}

/**
 * What a browser does with a page that it puts into its back-forward cache: tells it, and freezes it. The Chromium that npm
 * brings has no such cache; here nothing else than the page itself can tell that there is none.
 */
export async function putAway(page: Page): Promise<void> {
  await page.evaluate(() => void dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
  await freeze(page);
}

/** The Back button. Nobody looks at it yet. */
export async function bringBack(page: Page): Promise<void> {
  await thaw(page);
  await page.evaluate(() => void dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
}
