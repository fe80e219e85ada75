import type { Page, Request } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { sessionsOf } from './support/database.ts';
import { ada, register, seesDashboardOf, seesLogin } from './support/people.ts';
import { startProduct, type RunningServer } from './support/server.ts';
import { collectTokens, mostWithin } from './support/tokens.ts';
import { visitor, type Visitor } from './support/visitor.ts';
import { wireTo } from './support/wire.ts';

const isRefresh = (request: Request) => request.url().endsWith('auth.refresh');
const unreachable = (page: Page) => page.getByText('Having trouble connecting.');

/** From now on pages load as if from a cache, even offline, while calls fail. */
async function keepPages({ context }: Visitor, { url }: RunningServer): Promise<void> {
  const pages = new RegExp(`^${url}/(?!trpc/)`);
  await context.route(pages, async (route) => {
    const kept = await fetch(route.request().url(), { headers: { accept: route.request().headers().accept ?? '*/*' } });
    const body = Buffer.from(await kept.arrayBuffer());
    const headers = Object.fromEntries(kept.headers);
    const hasCookie = (await context.cookies()).some(({ name }) => name.endsWith('refreshToken'));
    // As the server would, had the browser reached it with its cookie.
    if (hasCookie) headers['server-timing'] = 'session';
    await route.fulfill({ status: kept.status, headers, body });
  });
}

describe('offline', () => {
  it('a page keeps its content, shows that it is offline, and recovers on its own', async () => {
    // Long enough to show the dashboard with the first token: it would wait for the refresh that is held.
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '4s' } });
    await using wire = await wireTo(server);
    await using browser = await visitor(wire.url);
    browser.expectFault(/ERR_INTERNET_DISCONNECTED|ERR_EMPTY_RESPONSE/);
    browser.expectFault(/401.*auth\.me/);
    const tokens = collectTokens(browser.context);
    const answer = wire.stop('auth.refresh');
    const page = await browser.tab();
    await register(page, ada);
    await answer.here;
    const failed = page.waitForEvent('requestfailed', isRefresh);
    await browser.context.setOffline(true);
    answer.lose();
    await failed;
    await unreachable(page).waitFor();
    await seesDashboardOf(page, ada);

    // Nothing is sent while offline, not even when the button is pressed.
    for (let presses = 0; presses < 3; presses++) await page.getByRole('button', { name: 'Try again' }).click();
    // A refresh would have been requested before this.
    await page.evaluate(() => fetch('/healthz').catch(() => {}));
    expect(browser.calls('auth.refresh')).toBe(1);
    await seesDashboardOf(page, ada);

    const answered = page.waitForEvent('requestfinished', isRefresh);
    await browser.context.setOffline(false);
    await answered;
    await unreachable(page).waitFor({ state: 'hidden' });
    await seesDashboardOf(page, ada);
    expect(mostWithin(900, tokens)).toBe(1);
  });

  it('a logout takes effect immediately, survives a reload, and reaches the server later', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/ERR_INTERNET_DISCONNECTED/);
    const tokens = collectTokens(browser.context);
    const page = await browser.tab();
    await register(page, ada);
    const other = await browser.tab();
    await other.goto('/dashboard');
    await seesDashboardOf(other, ada);

    await browser.context.setOffline(true);
    const failed = page.waitForEvent('requestfailed', (request) => request.url().includes('auth.logout'));
    await page.getByRole('button', { name: 'Log out' }).click();
    for (const tab of [page, other]) {
      await seesLogin(tab);
      expect(await tab.getByText(ada.email).count()).toBe(0);
    }
    await failed;

    await keepPages(browser, server);
    const refreshes = browser.calls('auth.refresh');
    for (const tab of [page, other, await browser.tab()]) {
      const tried = tab.waitForEvent('requestfailed', (request) => request.url().includes('auth.logout'));
      await tab.goto('/dashboard');
      await seesLogin(tab);
      await tried;
    }
    expect(browser.calls('auth.refresh')).toBe(refreshes);
    expect(await sessionsOf(server)).toMatchObject([{ end_reason: null }]);

    const notified = browser.context.waitForEvent('response', (response) => response.url().includes('auth.logout'));
    await browser.context.setOffline(false);
    expect((await notified).status()).toBe(200);
    expect(await sessionsOf(server)).toMatchObject([{ end_reason: 'revoked' }]);
    const me = await fetch(`${server.url}/trpc/auth.me`, { headers: { authorization: `Bearer ${tokens[0]!}` } });
    expect(await me.json()).toMatchObject({
      error: { data: { failure: { code: 'session_ended', reason: 'revoked' } } },
    });
    // The reload aborts a retried logout.
    browser.expectFault(/auth\.logout: net::ERR_ABORTED/);
    await page.reload();
    await seesLogin(page);
  });
});
