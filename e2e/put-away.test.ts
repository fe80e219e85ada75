import type { Page, Request } from 'playwright-core';
import { expect, test } from 'vitest';
import { createAccount } from './support/api.ts';
import { sessionsOf } from './support/database.ts';
import { bringBack, lookAt, putAway, visitorWithFreezer } from './support/freezer.ts';
import { ada, grace, logOut, seesDashboardOf, seesLogin, sendLogin, tracesOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { twoTabs } from './support/tabs.ts';
import { collectTokens, expired } from './support/tokens.ts';
import type { Visitor } from './support/visitor.ts';
import { wireTo } from './support/wire.ts';

const isRefresh = (request: Request) => request.url().endsWith('auth.refresh');
const isStream = (request: Request) => request.url().includes('auth.sessionEvents');

/** From its next load on keeps count of the channels that are open in the tab. */
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

/** Another page of the site, which has nothing to do with the session. */
async function bystanderOf({ context }: Visitor, { url }: { url: string }): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${url}/healthz`);
  return page;
}

/** Waits until these and no other locks of the site are held, and nobody waits for one. */
async function seesLocks(page: Page, names: string[]): Promise<void> {
  await page.waitForFunction(async (names) => {
    const { held = [], pending = [] } = await navigator.locks.query();
    return pending.length === 0 && held.map(({ name }) => name).join() === names.join();
  }, names);
}

test('a page that is put away lets go of its stream, its lock and its channel, and takes them up again', async () => {
  await using server = await startProduct();
  await createAccount(server, ada);
  await using browser = await visitorWithFreezer(server.url);
  const bystander = await bystanderOf(browser, server);
  const page = await browser.context.newPage();
  const channels = await countChannels(page);
  await page.goto(server.url);
  const listens = page.waitForResponse(/auth\.sessionEvents/);
  await sendLogin(page, ada);
  await seesDashboardOf(page, ada);
  await listens;
  await seesLocks(bystander, ['latchkey.events']);
  expect(await channels()).toBe(1);

  const cut = page.waitForEvent('requestfailed', isStream);
  await putAway(page);
  await cut;
  await seesLocks(bystander, []);
  expect(await channels()).toBe(0);

  const listensAgain = page.waitForRequest(isStream);
  await bringBack(page);
  await listensAgain;
  await seesLocks(bystander, ['latchkey.events']);
  expect(await channels()).toBe(1);
  await lookAt(page);
  await seesDashboardOf(page, ada);
});

test('a page that is put away in the middle of a refresh lets go of it, and asks again when it is brought back', async () => {
  await using server = await startProduct();
  await using wire = await wireTo(server);
  await using browser = await visitorWithFreezer(wire.url);
  browser.expectFault(/auth\.refresh: net::ERR_ABORTED/);
  await createAccount(server, ada);
  const bystander = await bystanderOf(browser, wire);
  const page = await browser.tab();
  await sendLogin(page, ada);
  await seesDashboardOf(page, ada);
  const answer = wire.stop('auth.refresh');
  await page.reload();
  await answer.here;
  await seesLocks(bystander, ['latchkey']);

  const cut = page.waitForEvent('requestfailed', isRefresh);
  await putAway(page);
  await cut;
  await seesLocks(bystander, []);
  answer.deliver();
  await bringBack(page);
  await lookAt(page);
  await seesDashboardOf(page, ada);
  expect(sessionsOf(server).at(-1)).toMatchObject({ end_reason: null });
});

test('a page that is brought back after its token has expired goes on as if nothing had been', async () => {
  await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
  await createAccount(server, ada);
  await using browser = await visitorWithFreezer(server.url);
  // The reload at the end cuts off what is under way.
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

test('a page that was put away while the person logged out shows nothing of them when it is brought back', async () => {
  await using server = await startProduct();
  await using browser = await visitorWithFreezer(server.url);
  const [first, second] = await twoTabs(server, browser, ada);
  // Nor does the server tell it: it has to find out by itself.
  browser.expectFault(/ERR_CONNECTION_REFUSED/);
  await second.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
  await putAway(second);
  await logOut(first);
  await bringBack(second);
  // Before anybody looks at it.
  await seesLogin(second);
  expect(await tracesOf(second, ada)).toEqual([]);
  await lookAt(second);
  await sendLogin(second, ada);
  await seesDashboardOf(second, ada);
  await seesDashboardOf(first, ada);
});

test('a page that was put away while somebody else logged in shows theirs, and nothing of the first person', async () => {
  await using server = await startProduct();
  await createAccount(server, grace);
  await using browser = await visitorWithFreezer(server.url);
  const [first, second] = await twoTabs(server, browser, ada);
  await putAway(second);
  await logOut(first);
  await sendLogin(first, grace);
  await seesDashboardOf(first, grace);
  await bringBack(second);
  await second.getByText(ada.email).waitFor({ state: 'detached' });
  expect(await tracesOf(second, ada)).toEqual([]);
  await lookAt(second);
  await seesDashboardOf(second, grace);
});
