import type { Page, Request } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { createAccount } from './support/api.ts';
import { sessionsOf } from './support/database.ts';
import { bringBack, lookAt, putAway, thaw, visitorWithFreezer } from './support/freezer.ts';
import { ada, grace, logOut, seesDashboardOf, seesLogin, sendLogin, tracesOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { twoTabs } from './support/tabs.ts';
import { collectTokens, expired } from './support/tokens.ts';
import { wireTo } from './support/wire.ts';

const isRefresh = (request: Request) => request.url().endsWith('auth.refresh');
const isStream = (request: Request) => request.url().includes('auth.sessionEvents');

/** Counts the open channels of the tab, from its next load on. */
async function countChannels(page: Page): Promise<() => Promise<number>> {
  await page.addInitScript(() => {
    const channels = new Set<BroadcastChannel>();
    class Counted extends BroadcastChannel {
      constructor(name: string) {
        super(name);
        channels.add(this);
      }
      override close() {
        super.close();
        channels.delete(this);
      }
    }
    Object.assign(globalThis, { channels, BroadcastChannel: Counted });
  });
  return () => page.evaluate(() => (globalThis as unknown as { channels: Set<BroadcastChannel> }).channels.size);
}

describe('a page in the back/forward cache', () => {
  it('closes its stream and channel, and reopens them when restored', async () => {
    await using server = await startProduct();
    await createAccount(server, ada);
    await using browser = await visitorWithFreezer(server.url);
    const page = await browser.context.newPage();
    const channels = await countChannels(page);
    await page.goto(server.url);
    const listens = page.waitForResponse(/auth\.sessionEvents/);
    await sendLogin(page, ada);
    await seesDashboardOf(page, ada);
    await listens;
    expect(await channels()).toBe(1);

    const cut = page.waitForEvent('requestfailed', isStream);
    await putAway(page);
    await cut;
    expect(await channels()).toBe(0);

    await bringBack(page);
    expect(await channels()).toBe(1);
    const listensAgain = page.waitForRequest(isStream);
    await lookAt(page);
    await listensAgain;
    await seesDashboardOf(page, ada);
  });

  it('abandons a refresh, and retries it when restored', async () => {
    await using server = await startProduct();
    await using wire = await wireTo(server);
    await using browser = await visitorWithFreezer(wire.url);
    browser.expectFault(/auth\.refresh: net::ERR_ABORTED/);
    await createAccount(server, ada);
    const page = await browser.tab();
    await sendLogin(page, ada);
    await seesDashboardOf(page, ada);
    const answer = wire.stop('auth.refresh');
    await page.reload();
    await answer.here;

    const cut = page.waitForEvent('requestfailed', isRefresh);
    await putAway(page);
    await cut;
    answer.deliver();
    await bringBack(page);
    await lookAt(page);
    await seesDashboardOf(page, ada);
    expect((await sessionsOf(server)).at(-1)).toMatchObject({ end_reason: null });
  });

  it('continues as if nothing had happened if its token expires meanwhile', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await createAccount(server, ada);
    await using browser = await visitorWithFreezer(server.url);
    // The reload at the end aborts what is in flight.
    browser.expectFault(/401.*auth\.me| net::ERR_ABORTED/);
    const tokens = collectTokens(browser.context);
    const page = await browser.tab();
    await sendLogin(page, ada);
    await seesDashboardOf(page, ada);
    await putAway(page);
    await Promise.all(tokens.map(expired));
    await bringBack(page);
    const answer = page.waitForResponse((response) => response.url().includes('auth.me') && response.ok());
    await lookAt(page);
    await answer;
    await seesDashboardOf(page, ada);
    await page.reload();
    await seesDashboardOf(page, ada);
  });

  it('shows no personal data when restored after a logout', async () => {
    await using server = await startProduct();
    await using browser = await visitorWithFreezer(server.url);
    const [first, second] = await twoTabs(server, browser, ada);
    // Nor does it learn from the server.
    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await second.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
    await putAway(second);
    await logOut(first);
    await bringBack(second);
    // Before it becomes visible.
    await seesLogin(second);
    expect(await tracesOf(second, ada)).toEqual([]);
    await lookAt(second);
    await sendLogin(second, ada);
    await seesDashboardOf(second, ada);
    await seesDashboardOf(first, ada);
  });

  it('shows the page of another user who logged in meanwhile, and nothing of the first', async () => {
    await using server = await startProduct();
    await createAccount(server, grace);
    await using browser = await visitorWithFreezer(server.url);
    const [first, second] = await twoTabs(server, browser, ada);
    await putAway(second);
    await logOut(first);
    await sendLogin(first, grace);
    await seesDashboardOf(first, grace);
    // Once thawed it is replaced immediately, before `pageshow`.
    await thaw(second);
    await seesDashboardOf(second, grace);
    expect(await tracesOf(second, ada)).toEqual([]);
    await lookAt(second);
    await seesDashboardOf(second, grace);
  });
});
