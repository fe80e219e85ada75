import type { Page, Request } from 'playwright-core';
import { expect, test } from 'vitest';
import { createAccount } from './support/api.ts';
import { sessionsOf } from './support/database.ts';
import { freeze, lookAt, thaw, visitorWithFreezer } from './support/freezer.ts';
import { ada, grace, logOut, seesDashboardOf, seesLogin, sendLogin, tracesOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { twoTabs } from './support/tabs.ts';
import type { Visitor } from './support/visitor.ts';
import { wireTo } from './support/wire.ts';

const isRefresh = (request: Request) => request.url().endsWith('auth.refresh');

/** No message reaches the tab any more, of another tab or of the server: it has to find out by itself. */
async function deafen(page: Page, browser: Visitor): Promise<void> {
  browser.expectFault(/ERR_CONNECTION_REFUSED/);
  await page.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
  await page.addInitScript(() => Object.defineProperty(globalThis, 'BroadcastChannel', { value: undefined }));
  await page.reload();
  await seesDashboardOf(page, ada);
}

test('a tab that was frozen while its token expired, and others after it, goes on as if nothing had been', async () => {
  await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
  await using browser = await visitorWithFreezer(server.url);
  // The reload at the end cuts off what is under way.
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
  expect(sessionsOf(server).at(-1)).toMatchObject({ end_reason: null });
});

test('a tab that is frozen in the middle of its refresh does not keep the others from theirs, and goes on when it is thawed', async () => {
  await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
  await using wire = await wireTo(server);
  await using browser = await visitorWithFreezer(wire.url);
  browser.expectFault(/401.*auth\.me| net::ERR_ABORTED/);
  const [first, second] = await twoTabs(server, browser, ada);
  // The first asks, for its stream ends with the token. The second would only ask for a call of its own.
  const answer = wire.stop('auth.refresh');
  await answer.here;
  await freeze(first);
  // It takes the lock from the frozen one, after it has waited for longer than any refresh may take.
  const answered = second.waitForEvent('requestfinished', { predicate: isRefresh, timeout: 60_000 });
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
  expect(sessionsOf(server).at(-1)).toMatchObject({ end_reason: null });
});

test.each(['hears', 'does not hear'])(
  'a frozen tab that %s that the person logs out in another shows nothing of them as soon as it is thawed',
  async (how) => {
    await using server = await startProduct();
    await using browser = await visitorWithFreezer(server.url);
    const [first, second] = await twoTabs(server, browser, ada);
    if (how === 'does not hear') await deafen(second, browser);
    await freeze(second);
    await logOut(first);
    await thaw(second);
    // Before anybody looks at it.
    await seesLogin(second);
    expect(await tracesOf(second, ada)).toEqual([]);
    await lookAt(second);
    await seesLogin(second);
  },
);

test.each(['hears', 'does not hear'])(
  'a frozen tab that %s that somebody else logs in in another shows theirs, and nothing of the first person',
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
    await second.getByText(ada.email).waitFor({ state: 'detached' });
    expect(await tracesOf(second, ada)).toEqual([]);
    await lookAt(second);
    await seesDashboardOf(second, grace);
    expect(await tracesOf(second, ada)).toEqual([]);
  },
);
