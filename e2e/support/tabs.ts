import type { BrowserContext, Page } from 'playwright-core';
import { createAccount } from './api.ts';
import { register, seesDashboardOf, sendLogin, type Person } from './people.ts';
import type { RunningServer } from './server.ts';
import type { Visitor } from './visitor.ts';

type Five = [Page, Page, Page, Page, Page];

export async function fiveTabs(browser: Visitor, person: Person): Promise<Five> {
  const first = await browser.tab();
  await register(first, person);
  const another = async () => {
    const tab = await browser.tab();
    await tab.goto('/dashboard');
    await seesDashboardOf(tab, person);
    return tab;
  };
  return [first, await another(), await another(), await another(), await another()];
}

/** Creates the account without a browser, then logs in. The first tab holds the event stream. */
export async function twoTabs(server: RunningServer, browser: Visitor, person: Person): Promise<[Page, Page]> {
  await createAccount(server, person);
  const first = await browser.tab();
  const listens = first.waitForResponse(/auth\.sessionEvents/);
  await sendLogin(first, person);
  await seesDashboardOf(first, person);
  await listens;
  const second = await browser.tab();
  await seesDashboardOf(second, person);
  return [first, second];
}

/** From their next load, tabs cannot message each other. */
export async function keepApart(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    Object.defineProperty(globalThis, 'BroadcastChannel', { value: undefined });
  });
}
