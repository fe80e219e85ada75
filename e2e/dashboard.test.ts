import { describe, expect, it } from 'vitest';
import { lookAway } from './support/attention.ts';
import { ada, register } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { collectTokens, generationOf } from './support/tokens.ts';
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
    // Without the event stream, which might refresh first. The page may take so long to load that its first call comes too late.
    browser.expectFault(/ERR_CONNECTION_REFUSED|401.*auth\.me/);
    await page.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
    await register(page, ada);
    await lookAway(page);
    // By the clock of the page, where a token lives slightly longer than by the server's: for as long as its answer took.
    await page.getByText('Expired', { exact: true }).waitFor();
    const generation = generationOf(tokens.at(-1)!);
    const refreshed = `Refreshed, from generation ${generation} to ${generation + 1}.`;
    const calls = browser.calls('auth.me');

    await page.getByRole('button', { name: 'Call auth.me' }).click();
    const answer = page.getByRole('status').filter({ hasText: 'Answered in' });
    await answer.getByText(refreshed).waitFor();
    expect(await answer.innerText()).toContain(`"email": "${ada.email}"`);
    expect(browser.calls('auth.me') - calls).toBe(1);
    await page.getByRole('listitem').filter({ hasText: refreshed }).waitFor();
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
