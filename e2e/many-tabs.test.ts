import { expect, test } from 'vitest';
import { createAccount } from './support/api.ts';
import { glance, lookAway } from './support/attention.ts';
import { ada, grace, logOut, seesDashboardOf, seesLogin, sendLogin, tracesOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { fiveTabs } from './support/tabs.ts';
import { collectTokens, mostWithin } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';
import { wireTo } from './support/wire.ts';

test('of five tabs whose token expires at once, one refreshes while the others wait, and all go on', async () => {
  await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
  await using wire = await wireTo(server);
  await using browser = await visitor(wire.url);
  browser.expectFault(/401.*auth\.me/);
  const tokens = collectTokens(browser.context);
  const tabs = await fiveTabs(browser, ada);
  for (const tab of tabs) await lookAway(tab);

  // The first to notice is the tab that listens for all: its stream ends with the token.
  const answer = wire.stop('auth.refresh');
  await answer.here;
  const refreshes = browser.calls('auth.refresh');
  const answers = tabs.map((tab) =>
    tab.waitForResponse((response) => response.url().includes('auth.me') && response.ok()),
  );
  await Promise.all(tabs.map(glance));
  await tabs[0].waitForFunction(async () => {
    const { held = [], pending = [] } = await navigator.locks.query();
    const count = (locks: LockInfo[]) => locks.filter(({ name }) => name === 'latchkey').length;
    return count(held) === 1 && count(pending) === 4;
  });
  expect(browser.calls('auth.refresh')).toBe(refreshes);
  answer.deliver();
  await Promise.all(answers);
  for (const tab of tabs) await seesDashboardOf(tab, ada);
  // Where a message between them is late, one may have asked once more; never more than one each.
  expect(mostWithin(900, tokens)).toBeLessThanOrEqual(tabs.length);
});

test('logging out in one of five tabs leaves nothing of the person in any', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const tabs = await fiveTabs(browser, ada);
  await tabs[2].getByRole('button', { name: 'Log out' }).click();
  for (const tab of tabs) {
    await seesLogin(tab);
    // So the tab has told them. Without a word from it they would hear of it from the server, and could not say who it was.
    await tab.getByRole('status').getByText('You have logged out.').waitFor();
    expect(await tracesOf(tab, ada)).toEqual([]);
  }
});

test('somebody else who logs in in one of five tabs is shown in all, and nothing of the first person', async () => {
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
