import { describe, expect, it } from 'vitest';
import { createAccount } from './support/api.ts';
import { glance, lookAway } from './support/attention.ts';
import { sessionsOf } from './support/database.ts';
import { ada, grace, logOut, seesDashboardOf, seesLogin, sendLogin, tracesOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { fiveTabs } from './support/tabs.ts';
import { collectTokens, expired, mostWithin } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';

describe('five tabs', () => {
  it('whose tokens expire together make at most one refresh each and stay logged in', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using browser = await visitor(server.url);
    browser.expectFault(/401.*auth\.me/);
    const tokens = collectTokens(browser.context);
    const tabs = await fiveTabs(browser, ada);
    for (const tab of tabs) await lookAway(tab);
    for (let expiries = 0; expiries < 2; expiries++) {
      await Promise.all(tokens.map(expired));
      const before = tokens.length;
      const answers = tabs.map((tab) =>
        tab.waitForResponse((response) => response.url().includes('auth.me') && response.ok()),
      );
      await Promise.all(tabs.map(glance));
      await Promise.all(answers);
      for (const tab of tabs) await seesDashboardOf(tab, ada);
      expect(mostWithin(900, tokens.slice(before))).toBeLessThanOrEqual(tabs.length);
    }
    expect(await sessionsOf(server)).toMatchObject([{ end_reason: null }]);
  });

  it('are all logged out by a logout in one, and show no personal data', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const tabs = await fiveTabs(browser, ada);
    // From the tab: the server, which would only report that the session was ended, hears of it last.
    const { promise: allHaveHeard, resolve: tellServer } = Promise.withResolvers<void>();
    await tabs[2].route('**/trpc/auth.logout', async (route) => {
      await allHaveHeard;
      await route.continue();
    });
    const told = tabs[2].waitForResponse(/auth\.logout/);
    await tabs[2].getByRole('button', { name: 'Log out' }).click();
    for (const tab of tabs) {
      await seesLogin(tab);
      await tab.getByRole('status').getByText('You have logged out.').waitFor();
      expect(await tracesOf(tab, ada)).toEqual([]);
    }
    tellServer();
    expect((await told).status()).toBe(200);
  });

  it('all show the user who logs in in one, and nothing of the previous user', async () => {
    await using server = await startProduct();
    await createAccount(server, grace);
    await using browser = await visitor(server.url);
    const tabs = await fiveTabs(browser, ada);
    await logOut(tabs[1]);
    await seesLogin(tabs[3]);
    await sendLogin(tabs[3], grace);
    for (const tab of tabs) {
      await seesDashboardOf(tab, grace);
      expect(await tracesOf(tab, ada)).toEqual([]);
    }
  });
});
