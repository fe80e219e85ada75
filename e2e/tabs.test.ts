import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { createAccount } from './support/api.ts';
import { glance, lookAway } from './support/attention.ts';
import { ada, grace, logOut, register, seesDashboardOf, seesLogin, sendLogin, type Person } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { collectTokens, expired, mostWithin, subjectOf } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';

describe('tabs', () => {
  it('are logged in together', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await register(await browser.tab(), ada);
    const second = await browser.tab();
    await second.goto('/');
    await seesDashboardOf(second, ada);
  });

  it('showing the login page are all logged in by a login in one', async () => {
    await using server = await startProduct();
    await createAccount(server, ada);
    await using browser = await visitor(server.url);
    const first = await browser.tab();
    await first.goto('/login');
    const second = await browser.tab();
    await second.goto('/login');
    await sendLogin(first, ada);
    await seesDashboardOf(first, ada);
    await seesDashboardOf(second, ada);
  });

  it('all show the login page after a logout in one', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const first = await browser.tab();
    await register(first, ada);
    const others = [await browser.tab(), await browser.tab()];
    for (const tab of others) {
      await tab.goto('/dashboard');
      await seesDashboardOf(tab, ada);
    }
    await first.getByRole('button', { name: 'Log out' }).click();
    for (const tab of [first, ...others]) {
      await seesLogin(tab);
      expect(await tab.getByText(ada.email).count()).toBe(0);
    }
  });

  it('all show another user who logs in in one', async () => {
    await using server = await startProduct();
    await createAccount(server, grace);
    await using browser = await visitor(server.url);
    const first = await browser.tab();
    await register(first, ada);
    const second = await browser.tab();
    await second.goto('/dashboard');
    await seesDashboardOf(second, ada);
    await logOut(first);
    await seesLogin(second);
    await sendLogin(first, grace);
    await seesDashboardOf(first, grace);
    await seesDashboardOf(second, grace);
    expect(await second.getByText(ada.email).count()).toBe(0);
  });

  it('whose tokens expire together all stay logged in', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using browser = await visitor(server.url);
    const tokens = collectTokens(browser.context);
    browser.expectFault(/401.*auth\.me/);
    const first = await browser.tab();
    await register(first, ada);
    const tabs = [first, await browser.tab(), await browser.tab()];
    for (const tab of tabs.slice(1)) {
      await tab.goto('/dashboard');
      await seesDashboardOf(tab, ada);
    }
    for (const tab of tabs) await lookAway(tab);

    for (let expiries = 0; expiries < 3; expiries++) {
      await Promise.all(tokens.map(expired));
      const answers = tabs.map((tab) =>
        tab.waitForResponse((response) => response.url().includes('auth.me') && response.ok()),
      );
      await Promise.all(tabs.map(glance));
      await Promise.all(answers);
      for (const tab of tabs) await seesDashboardOf(tab, ada);
    }
    // At most one refresh each.
    expect(mostWithin(900, tokens)).toBeLessThanOrEqual(tabs.length);
  });

  it('loaded concurrently with the same cookie are all logged in', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const first = await browser.tab();
    await register(first, ada);
    const tabs = await Promise.all(Array.from({ length: 4 }, () => browser.tab()));
    await Promise.all(tabs.map((tab) => tab.goto('/dashboard')));
    for (const tab of tabs) await seesDashboardOf(tab, ada);
    // The cookie left in the jar is good, whichever answer came last.
    await first.reload();
    await seesDashboardOf(first, ada);
  });
});

describe('a tab of Ada while somebody else logs in elsewhere', () => {
  /** The owner of the token on each request of the tab, and where each document began. */
  function journal(page: Page): string[] {
    const entries: string[] = [];
    page.on('request', (request) => {
      const token = request.headers().authorization;
      if (request.isNavigationRequest()) entries.push('new document');
      else if (token !== undefined) entries.push(subjectOf(token));
    });
    return entries;
  }

  /** Logs in without involving the page, as another program in this browser would. */
  async function logInBehindItsBack(page: Page, { email, password }: Person): Promise<void> {
    const status = await page.evaluate(
      async (input) => {
        const headers = { 'content-type': 'application/json' };
        return (await fetch('/trpc/auth.login', { method: 'POST', headers, body: JSON.stringify(input) })).status;
      },
      { email, password },
    );
    expect(status).toBe(200);
  }

  it('that hears of it directly loads a new document, and sends nothing with the other token', async () => {
    await using server = await startProduct();
    await createAccount(server, grace);
    await using browser = await visitor(server.url);
    browser.expectFault(/401.*auth\.me|net::ERR_ABORTED/);
    const first = await browser.tab();
    await register(first, ada);
    const second = await browser.tab();
    await second.goto('/dashboard');
    await seesDashboardOf(second, ada);
    const entries = journal(second);
    await logInBehindItsBack(first, grace);
    await first.reload();
    await seesDashboardOf(first, grace);
    await seesDashboardOf(second, grace);
    const [adasTime, gracesTime] = split(entries);
    expect(new Set([...adasTime, ...gracesTime]).size).toBe(adasTime.length > 0 ? 2 : 1);
    expect(new Set(gracesTime).size).toBe(1);
  });

  it('that wakes with an expired token loads a new document, and sends nothing with the other token', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '2s' } });
    await createAccount(server, grace);
    await using browser = await visitor(server.url);
    browser.expectFault(/401.*auth\.me|net::ERR_ABORTED|ERR_CONNECTION_REFUSED/);
    const tokens = collectTokens(browser.context);
    const first = await browser.tab();
    await register(first, ada);
    const second = await browser.tab();
    // It hears nothing from other tabs or the server.
    await second.addInitScript(() => Object.defineProperty(globalThis, 'BroadcastChannel', { value: undefined }));
    await second.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
    await second.goto('/dashboard');
    await seesDashboardOf(second, ada);
    await lookAway(second);
    const entries = journal(second);
    await logOut(first);
    await sendLogin(first, grace);
    await seesDashboardOf(first, grace);
    await Promise.all(tokens.map(expired));
    await glance(second);
    await seesDashboardOf(second, grace);
    const [adasTime, gracesTime] = split(entries);
    expect(adasTime).toEqual([]);
    expect(new Set(gracesTime).size).toBe(1);
    expect(await second.getByText(ada.email).count()).toBe(0);
  });

  function split(entries: string[]): [before: string[], after: string[]] {
    const at = entries.indexOf('new document');
    expect(entries.filter((entry) => entry === 'new document')).toHaveLength(1);
    return [entries.slice(0, at), entries.slice(at + 1)];
  }
});
