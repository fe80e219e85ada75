import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { change } from './support/database.ts';
import { ada, register, seesDashboardOf, seesLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor, type Visitor } from './support/visitor.ts';

const isStream = (address: string) => address.includes('auth.sessionEvents');

/** The stream is open. */
async function listening(browser: Visitor, page: Page): Promise<void> {
  if (browser.requests.some((request) => isStream(request.url()))) return;
  await page.waitForRequest((request) => isStream(request.url()));
}

test('a session that has ended on the server shows the login page, with the reason, in every tab, and nobody clicks', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const tabs = [await browser.tab(), await browser.tab(), await browser.tab()] as const;
  await register(tabs[0], ada);
  for (const tab of tabs.slice(1)) {
    await tab.goto('/dashboard');
    await seesDashboardOf(tab, ada);
  }
  await listening(browser, tabs[0]);
  change(server, "update sessions set ended_at = 1, end_reason = 'reused'");
  for (const tab of tabs) {
    await seesLogin(tab);
    await tab.getByText('We logged you out because your session was used from somewhere else').waitFor();
  }
});

test('a browser listens once, however many tabs it has, and goes on when that tab is closed', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const first = await browser.tab();
  await register(first, ada);
  await listening(browser, first);
  const second = await browser.tab();
  await second.goto('/dashboard');
  await seesDashboardOf(second, ada);
  expect(browser.calls('auth.sessionEvents')).toBe(1);
  const takenOver = second.waitForRequest((request) => isStream(request.url()));
  await first.close();
  await takenOver;
  change(server, "update sessions set ended_at = 1, end_reason = 'revoked'");
  await seesLogin(second);
});

test('what has changed about the person is shown in every tab', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const first = await browser.tab();
  await register(first, ada);
  const second = await browser.tab();
  await second.goto('/dashboard');
  await seesDashboardOf(second, ada);
  await listening(browser, first);
  change(server, "update users set username = 'Countess'");
  for (const tab of [first, second]) await tab.getByText('Welcome, Countess!').waitFor();
});

test('the stream outlives its token', async () => {
  await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '2s' } });
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  await register(page, ada);
  for (let expiry = 0; expiry < 2; expiry += 1)
    await page.waitForRequest((request) => isStream(request.url()) && request.url().includes('lastEventId'));
  change(server, "update users set username = 'Countess'");
  await page.getByText('Welcome, Countess!').waitFor();
});

test('the stream outlives the server', async () => {
  await using before = await startProduct();
  await using browser = await visitor(before.url);
  // What is called while there is no server fails, and the browser says so.
  browser.expectFault(/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING/);
  const page = await browser.tab();
  await register(page, ada);
  await listening(browser, page);
  expect(await before.stop()).toBe(0);
  await using after = await startProduct({ folder: before.folder, settings: { PORT: String(before.port) } });
  await page.waitForRequest((request) => isStream(request.url()));
  change(after, "update sessions set ended_at = 1, end_reason = 'revoked'");
  await seesLogin(page);
});

test('somebody whose browser has forgotten the login but not the cookie is logged in', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  await register(page, ada);
  await page.evaluate(() => localStorage.clear());
  await page.goto('/');
  await seesDashboardOf(page, ada);
});
