import { describe, expect, it } from 'vitest';
import { openAccount } from './support/account.ts';
import { ada, logIn, logOut, register, seesLogin, tracesOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { fiveTabs } from './support/tabs.ts';
import { visitor } from './support/visitor.ts';

const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0';
const ENDED = 'You have been logged out. Please log in again.';
/** Ending a session shows at once; a poll would take ten seconds. */
const AT_ONCE_MS = 5_000;

describe('the list of sessions', () => {
  it('shows each browser in words, and ends one in all its tabs at once', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await using firefox = await visitor(server.url, { userAgent: FIREFOX });
    const streams = firefox.context.waitForEvent('response', (response) => response.url().includes('sessionEvents'));
    const tabs = await fiveTabs(firefox, ada);
    await streams;
    const page = await browser.tab();
    await logIn(page, ada);
    await openAccount(page);

    const items = page.getByRole('region', { name: 'Sessions' }).getByRole('listitem');
    expect(await items.count()).toBe(2);
    const mine = items.filter({ hasText: 'This browser' });
    const other = items.filter({ hasText: 'Firefox on Windows' });
    await mine.getByText(/Network (::1|127\.0\.0\.1)/).waitFor();
    await mine.getByText('in use now').waitFor();
    await other.getByText('last seen just now').waitFor();
    // Logging out is for that.
    expect(await mine.getByRole('button').count()).toBe(0);

    await other.getByRole('button', { name: 'End session', exact: true }).click();
    await page.getByText('Session ended: Firefox on Windows.').waitFor();
    // The list follows a moment later.
    await other.waitFor({ state: 'hidden' });
    expect(await items.count()).toBe(1);
    for (const tab of tabs) {
      await tab.getByRole('status').getByText(ENDED).waitFor({ timeout: AT_ONCE_MS });
      await seesLogin(tab);
      expect(await tracesOf(tab, ada)).toEqual([]);
    }
    await page.reload();
    await page.getByText('This browser').waitFor();
    expect(await items.count()).toBe(1);
  });

  it('ends all other sessions, and keeps this one', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    const others = [];
    await using first = await visitor(server.url);
    await using second = await visitor(server.url);
    for (const elsewhere of [first, second]) {
      const tab = await elsewhere.tab();
      const listens = tab.waitForResponse(/auth\.sessionEvents/);
      await logIn(tab, ada);
      await listens;
      others.push(tab);
    }
    await openAccount(page);
    await page.getByRole('button', { name: 'Log out other sessions' }).click();
    await page.getByText('2 other sessions ended.').waitFor();
    for (const tab of others) await tab.getByRole('status').getByText(ENDED).waitFor({ timeout: AT_ONCE_MS });
    await page.getByRole('button', { name: 'Log out other sessions' }).waitFor({ state: 'hidden' });
    await page.reload();
    await page.getByText('This browser').waitFor();
  });

  it('says so where a session was ended elsewhere meanwhile', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await using firefox = await visitor(server.url, { userAgent: FIREFOX });
    browser.expectFault(/404.*account\.endSession/);
    const page = await browser.tab();
    await register(page, ada);
    const other = await firefox.tab();
    await logIn(other, ada);
    await openAccount(page);
    await logOut(other);
    await page.getByRole('button', { name: 'End session' }).click();
    // Read again, it is no longer there; nothing has gone wrong.
    await page.getByRole('button', { name: 'End session' }).waitFor({ state: 'hidden' });
    expect(await page.getByRole('alert').count()).toBe(0);
  });
});
