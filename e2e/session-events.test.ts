import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { lookAway } from './support/attention.ts';
import { ada, register, seesDashboardOf, seesLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor, type Visitor } from './support/visitor.ts';

const isStream = (address: string) => address.includes('auth.sessionEvents');

/** Waits until the stream has been requested. */
async function listening(browser: Visitor, page: Page): Promise<void> {
  if (browser.requests.some((request) => isStream(request.url()))) return;
  await page.waitForRequest((request) => isStream(request.url()));
}

describe("the server's events", () => {
  it('show the login page with the reason in every tab when the session ends, without a click', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const tabs = [await browser.tab(), await browser.tab(), await browser.tab()] as const;
    await register(tabs[0], ada);
    for (const tab of tabs.slice(1)) {
      await tab.goto('/dashboard');
      await seesDashboardOf(tab, ada);
    }
    await listening(browser, tabs[0]);
    await server.query("update sessions set ended_at = 1, end_reason = 'reused'");
    for (const tab of tabs) {
      await seesLogin(tab);
      await tab.getByText('We logged you out because your session was used from somewhere else').waitFor();
    }
  });

  it('reach only visible tabs, from which hidden ones learn that the session has ended', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const first = await browser.tab();
    await register(first, ada);
    await listening(browser, first);
    const released = first.waitForEvent('requestfailed', (request) => isStream(request.url()));
    await lookAway(first);
    await released;
    const second = await browser.tab();
    const opened = second.waitForRequest((request) => isStream(request.url()));
    await second.goto('/dashboard');
    await seesDashboardOf(second, ada);
    await opened;
    await server.query("update sessions set ended_at = 1, end_reason = 'revoked'");
    for (const tab of [second, first]) await seesLogin(tab);
    expect(browser.calls('auth.sessionEvents')).toBe(2);
  });

  it('update the user in every tab', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const first = await browser.tab();
    await register(first, ada);
    const second = await browser.tab();
    await second.goto('/dashboard');
    await seesDashboardOf(second, ada);
    await listening(browser, first);
    await server.query("update users set username = 'Countess'");
    for (const tab of [first, second]) await tab.getByText('Welcome, Countess!').waitFor();
  });

  it('continue when the token expires', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '2s' } });
    await using browser = await visitor(server.url);
    // Where the page takes so long to load that its first call comes too late.
    browser.expectFault(/401.*auth\.me/);
    const page = await browser.tab();
    await register(page, ada);
    for (let expiry = 0; expiry < 2; expiry += 1)
      await page.waitForRequest((request) => isStream(request.url()) && request.url().includes('lastEventId'));
    await server.query("update users set username = 'Countess'");
    await page.getByText('Welcome, Countess!').waitFor();
  });

  it('continue when the server is restarted', async () => {
    await using before = await startProduct();
    await using browser = await visitor(before.url);
    // Requests fail while the server is down.
    browser.expectFault(/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING/);
    const page = await browser.tab();
    await register(page, ada);
    await listening(browser, page);
    expect(await before.stop()).toBe(0);
    // Nothing answers until the server is back, and then the page may be faster than this process.
    const listensAgain = page.waitForResponse((response) => isStream(response.url()));
    await using after = await startProduct({ folder: before.folder, settings: { PORT: String(before.port) } });
    await listensAgain;
    await after.query("update sessions set ended_at = 1, end_reason = 'revoked'");
    await seesLogin(page);
  });

  it('need no marker: the cookie alone keeps the user logged in', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await page.evaluate(() => localStorage.clear());
    await page.goto('/');
    await seesDashboardOf(page, ada);
  });
});
