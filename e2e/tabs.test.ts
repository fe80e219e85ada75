import { expect, test } from 'vitest';
import { createAccount } from './support/api.ts';
import { glance, lookAway } from './support/attention.ts';
import { ada, grace, register, seesDashboardOf, seesLogin, sendLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { collectTokens, expired, mostWithin } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';

test('a second tab is logged in too', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  await register(await browser.tab(), ada);
  const second = await browser.tab();
  await second.goto('/');
  await seesDashboardOf(second, ada);
});

test('logging in in one tab lets in the others that wait at the door', async () => {
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

test('logging out in one tab shows the login page in the others', async () => {
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

test('somebody else logging in in one tab shows theirs in the others', async () => {
  await using server = await startProduct();
  await createAccount(server, grace);
  await using browser = await visitor(server.url);
  const first = await browser.tab();
  await register(first, ada);
  const second = await browser.tab();
  await second.goto('/dashboard');
  await seesDashboardOf(second, ada);
  await first.getByRole('button', { name: 'Log out' }).click();
  await seesLogin(second);
  await sendLogin(first, grace);
  await seesDashboardOf(first, grace);
  await seesDashboardOf(second, grace);
  expect(await second.getByText(ada.email).count()).toBe(0);
});

test('tabs whose tokens expire together stay logged in, all of them', async () => {
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
  // For each expiry usually one refresh: the first tab tells the others. Never more than one each.
  expect(mostWithin(900, tokens)).toBeLessThanOrEqual(tabs.length);
});

test('tabs that are loaded at once, all with the same cookie, are all logged in', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const first = await browser.tab();
  await register(first, ada);
  const tabs = await Promise.all(Array.from({ length: 4 }, () => browser.tab()));
  await Promise.all(tabs.map((tab) => tab.goto('/dashboard')));
  for (const tab of tabs) await seesDashboardOf(tab, ada);
  // And the cookie that is left in the jar is a good one, whichever answer came last.
  await first.reload();
  await seesDashboardOf(first, ada);
});
