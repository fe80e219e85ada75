import { describe, expect, it } from 'vitest';
import { lookAway } from './support/attention.ts';
import { ada, register } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { collectTokens, expired } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';

describe('the dashboard', () => {
  it('counts down to the expiry of the access token', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '15m' } });
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    const countdown = page.getByText(/^(15:00|14:\d\d)$/);
    const first = await countdown.innerText();
    await page.getByText(first, { exact: true }).waitFor({ state: 'detached' });
    expect((await countdown.innerText()) < first).toBe(true);
  });

  it('calls the server on demand and shows that the session was refreshed for it', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using browser = await visitor(server.url);
    const tokens = collectTokens(browser.context);
    const page = await browser.tab();
    // Without the event stream, which might refresh first.
    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await page.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
    await register(page, ada);
    await lookAway(page);
    await expired(tokens.at(-1)!);
    const calls = browser.calls('auth.me');

    await page.getByRole('button', { name: 'Call auth.me' }).click();
    const answer = page.getByRole('status').filter({ hasText: 'Answered in' });
    await answer.getByText('Refreshed, from generation 1 to 2.').waitFor();
    expect(await answer.innerText()).toContain(`"email": "${ada.email}"`);
    expect(browser.calls('auth.me') - calls).toBe(1);
    await page.getByRole('listitem').filter({ hasText: 'Refreshed, from generation 1 to 2.' }).waitFor();
  });

  it('shows that a call failed', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await page.route('**/auth.me*', (route) => route.abort('connectionrefused'));
    await page.getByRole('button', { name: 'Call auth.me' }).click();
    await page.getByRole('status').getByText('We cannot reach the server.').waitFor();
  });
});
