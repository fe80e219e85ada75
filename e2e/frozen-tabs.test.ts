import type { Page, Request } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { createAccount } from './support/api.ts';
import { sessionsOf } from './support/database.ts';
import { freeze, lookAt, thaw, visitorWithFreezer } from './support/freezer.ts';
import { ada, grace, logOut, seesDashboardOf, seesLogin, sendLogin, tracesOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { twoTabs } from './support/tabs.ts';
import type { Visitor } from './support/visitor.ts';
import { wireTo } from './support/wire.ts';

const isRefresh = (request: Request) => request.url().endsWith('auth.refresh');

/** From now on the tab receives no messages, from other tabs or the server. */
async function deafen(page: Page, browser: Visitor): Promise<void> {
  browser.expectFault(/ERR_CONNECTION_REFUSED/);
  await page.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
  await page.addInitScript(() => Object.defineProperty(globalThis, 'BroadcastChannel', { value: undefined }));
  await page.reload();
  await seesDashboardOf(page, ada);
}

describe('a frozen tab', () => {
  it('whose token, and several after it, expired meanwhile continues as if nothing had happened', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using browser = await visitorWithFreezer(server.url);
    // The reload at the end aborts what is in flight.
    browser.expectFault(/401.*auth\.me| net::ERR_ABORTED/);
    const [first, second] = await twoTabs(server, browser, ada);
    await deafen(second, browser);
    await freeze(second);
    for (let expiries = 0; expiries < 3; expiries++) await first.waitForEvent('requestfinished', isRefresh);
    await seesDashboardOf(first, ada);

    await thaw(second);
    const answer = second.waitForResponse((response) => response.url().includes('auth.me') && response.ok());
    await lookAt(second);
    await answer;
    await seesDashboardOf(second, ada);
    await first.reload();
    await seesDashboardOf(first, ada);
    expect((await sessionsOf(server)).at(-1)).toMatchObject({ end_reason: null });
  });

  it('that was in mid-refresh does not block others from refreshing, and continues when thawed', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using wire = await wireTo(server);
    await using browser = await visitorWithFreezer(wire.url);
    browser.expectFault(/401.*auth\.me| net::ERR_ABORTED/);
    const [first, second] = await twoTabs(server, browser, ada);
    // Of the first: its stream ends with the token.
    const answer = wire.stop('auth.refresh');
    await answer.here;
    await freeze(first);
    const answered = second.waitForEvent('requestfinished', isRefresh);
    await second.reload();
    await answered;
    await seesDashboardOf(second, ada);

    answer.deliver();
    await thaw(first);
    await lookAt(first);
    for (const tab of [first, second]) {
      await seesDashboardOf(tab, ada);
      await tab.reload();
      await seesDashboardOf(tab, ada);
    }
    expect((await sessionsOf(server)).at(-1)).toMatchObject({ end_reason: null });
  });

  it.each(['hears', 'does not hear'])(
    'that %s about a logout in another tab shows no personal data once thawed',
    async (how) => {
      await using server = await startProduct();
      await using browser = await visitorWithFreezer(server.url);
      const [first, second] = await twoTabs(server, browser, ada);
      if (how === 'does not hear') await deafen(second, browser);
      await freeze(second);
      await logOut(first);
      await thaw(second);
      // Before it becomes visible.
      await seesLogin(second);
      expect(await tracesOf(second, ada)).toEqual([]);
      await lookAt(second);
      await seesLogin(second);
    },
  );

  it.each(['hears', 'does not hear'])(
    'that %s about another user logging in elsewhere shows their page, and nothing of the first user',
    async (how) => {
      await using server = await startProduct();
      await createAccount(server, grace);
      await using browser = await visitorWithFreezer(server.url);
      const [first, second] = await twoTabs(server, browser, ada);
      if (how === 'does not hear') await deafen(second, browser);
      await freeze(second);
      await logOut(first);
      await sendLogin(first, grace);
      await seesDashboardOf(first, grace);
      await thaw(second);
      // Before it becomes visible.
      await seesDashboardOf(second, grace);
      expect(await tracesOf(second, ada)).toEqual([]);
      await lookAt(second);
      await seesDashboardOf(second, grace);
      expect(await tracesOf(second, ada)).toEqual([]);
    },
  );
});
