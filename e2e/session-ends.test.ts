import { describe, expect, it } from 'vitest';
import { glance, lookAway } from './support/attention.ts';
import { ada, seesLogin, tracesOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { fiveTabs } from './support/tabs.ts';
import { visitor } from './support/visitor.ts';

describe('the end of a session on the server', () => {
  it.each([
    ['it was revoked', "end_reason = 'revoked', ended_at = 1", 'You have been logged out. Please log in again.'],
    [
      'it has reached its maximum age',
      'expires_at = 1',
      'You were away for a while, so we logged you out. Please log in again.',
    ],
  ])('because %s is shown in each of five tabs', async (_why, what, sentence) => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const stream = browser.context.waitForEvent('response', (response) => response.url().includes('sessionEvents'));
    const tabs = await fiveTabs(browser, ada);
    await stream;
    await server.query(`update sessions set ${what}`);
    for (const tab of tabs) {
      await seesLogin(tab);
      await tab.getByRole('status').getByText(sentence).waitFor();
      expect(await tracesOf(tab, ada)).toEqual([]);
    }
  });

  it('reaches all tabs through the next call of one, if nothing else reports it', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await browser.context.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
    browser.expectFault(/ERR_CONNECTION_REFUSED|401.*auth\.me/);
    const tabs = await fiveTabs(browser, ada);
    for (const tab of tabs) await lookAway(tab);
    await server.query("update sessions set end_reason = 'reused', ended_at = 1");
    const before = { me: browser.calls('auth.me'), refresh: browser.calls('auth.refresh') };
    await glance(tabs[4]);
    for (const tab of tabs) {
      await seesLogin(tab);
      await tab.getByRole('status').getByText('your session was used from somewhere else').waitFor();
      expect(await tracesOf(tab, ada)).toEqual([]);
    }
    expect(browser.calls('auth.me')).toBe(before.me + 1);
    expect(browser.calls('auth.refresh')).toBe(before.refresh);
  });
});
