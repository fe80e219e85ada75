import { describe, expect, it } from 'vitest';
import { glance, lookAway } from './support/attention.ts';
import { ada, logIn, register, seesDashboardOf, logOut } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { collectTokens, expired, mostWithin } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';
import { watchPages } from './support/witness.ts';

describe('staying logged in', () => {
  it('works unnoticed while tokens expire repeatedly', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using browser = await visitor(server.url);
    const tokens = collectTokens(browser.context);
    // By the clock of the page a token lives slightly longer: for as long as its answer took.
    browser.expectFault(/401.*auth\.me/);
    const page = await browser.tab();
    const sights = await watchPages(page);
    await register(page, ada);
    await lookAway(page);
    const shown = await sights();

    for (let expiries = 0; expiries < 4; expiries++) {
      await expired(tokens.at(-1)!);
      const answer = page.waitForResponse((response) => response.url().includes('auth.me') && response.ok());
      await glance(page);
      await answer;
      await seesDashboardOf(page, ada);
    }
    expect(tokens.length).toBeGreaterThanOrEqual(5);
    // One refresh per expiry, for the calls and the stream of the page together.
    expect(mostWithin(900, tokens)).toBe(1);
    // No other page was shown, not for a moment.
    expect(await sights()).toEqual(shown);
  });

  it('renews a token that the server refuses early, and retries the call', async () => {
    await using first = await startProduct();
    await using browser = await visitor(first.url);
    const page = await browser.tab();
    // Without the stream, which might notice first.
    await page.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await register(page, ada);
    await lookAway(page);
    await first.stop();

    // With another key for access tokens: all earlier ones are worthless.
    await using second = await startProduct({
      settings: { PORT: String(first.port), JWT_ACCESS_SECRET: 'Zp5Wc8Nq1Lr7Vx4Km0Bt6Hy3Gf9Ds2Ju' },
      folder: first.folder,
    });
    expect(second.url).toBe(first.url);
    browser.expectFault(/401.*auth\.me/);
    const answers: number[] = [];
    page.on('response', (response) => {
      if (response.url().includes('auth.me')) answers.push(response.status());
    });
    const renewed = page.waitForResponse((response) => response.url().includes('auth.me') && response.ok());
    await glance(page);
    await renewed;
    expect(answers).toEqual([401, 200]);
    expect(browser.calls('auth.refresh')).toBe(1);
    await seesDashboardOf(page, ada);
  });

  it('shows the dashboard after a reload, with no flash of another page', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    const sights = await watchPages(page);
    for (let reloads = 0; reloads < 3; reloads++) {
      await page.reload();
      await seesDashboardOf(page, ada);
      expect(await sights()).toEqual([{ path: '/dashboard', heading: 'Dashboard' }]);
    }
  });

  it('skips the guest pages, with no flash of them', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    const sights = await watchPages(page);
    for (const path of ['/', '/login', '/register']) {
      await page.goto(path);
      await seesDashboardOf(page, ada);
      expect(await sights()).toEqual([{ path: '/dashboard', heading: 'Dashboard' }]);
    }
  });

  it('survives a restart of the server', async () => {
    await using first = await startProduct();
    await using browser = await visitor(first.url);
    const page = await browser.tab();
    await register(page, ada);
    // The open stream of the page must not keep the server from stopping.
    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    expect(await first.stop()).toBe(0);
    await using second = await startProduct({ settings: { PORT: String(first.port) }, folder: first.folder });
    await page.reload();
    await seesDashboardOf(page, ada);
    expect(second.port).toBe(first.port);
  });

  it('shows when the server is unreachable on load, and continues once it is back', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);

    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await page.route('**/trpc/**', (route) => route.abort('connectionrefused'));
    const sights = await watchPages(page);
    await page.reload();
    await page.getByText('We cannot reach the server.').waitFor();
    await page.unroute('**/trpc/**');
    // On its own.
    await seesDashboardOf(page, ada);
    expect(await sights()).toEqual([
      { path: '/dashboard', heading: 'No connection' },
      { path: '/dashboard', heading: 'Dashboard' },
    ]);
  });

  it('keeps the content of an open page while the server is down, and continues afterwards', async () => {
    await using first = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using browser = await visitor(first.url);
    const tokens = collectTokens(browser.context);
    const page = await browser.tab();
    // The page may take so long to load that its first call comes too late.
    browser.expectFault(/ERR_CONNECTION_REFUSED|401.*auth\.me/);
    await register(page, ada);
    await first.stop();
    await expired(tokens.at(-1)!);

    const refused = page.waitForEvent('requestfailed');
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })));
    await refused;
    await page.getByText('Having trouble connecting.').waitFor();
    await seesDashboardOf(page, ada);

    const answer = page.waitForResponse((response) => response.url().includes('auth.refresh') && response.ok());
    await using second = await startProduct({
      settings: { ACCESS_TOKEN_EXPIRY: '1s', PORT: String(first.port) },
      folder: first.folder,
    });
    await answer;
    await page.getByText('Having trouble connecting.').waitFor({ state: 'hidden' });
    await seesDashboardOf(page, ada);
    expect(second.port).toBe(first.port);
  });

  it('shows when the server is down during a login, which works afterwards', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await logOut(page);

    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await page.route('**/trpc/auth.login', (route) => route.abort('connectionrefused'));
    await page.getByLabel('Email').fill(ada.email);
    await page.getByLabel('Password', { exact: true }).fill(ada.password);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText('We cannot reach the server.').waitFor();
    await page.unroute('**/trpc/auth.login');
    await page.getByRole('button', { name: 'Log in' }).click();
    await seesDashboardOf(page, ada);
  });

  it('keeps the cookie out of reach of scripts and of other sites', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    const cookies = await browser.context.cookies();
    expect(cookies.find(({ name }) => name === '__Host-refreshToken')).toMatchObject({
      httpOnly: true,
      secure: true,
      sameSite: 'Strict',
      path: '/',
      domain: 'localhost',
    });
    for (const cookie of cookies) expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Strict' });
    // A week, with some tolerance for a slow machine.
    const days = (cookies.find(({ name }) => name === '__Host-refreshToken')!.expires - Date.now() / 1000) / 86_400;
    expect(days).toBeGreaterThan(6.9);
    expect(days).toBeLessThanOrEqual(7);
    expect(await page.evaluate(() => document.cookie)).toBe('');
  });

  it('survives closing the browser', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await register(await browser.tab(), ada);
    const storageState = await browser.context.storageState();
    await using later = await visitor(server.url, { storageState });
    const page = await later.tab();
    await page.goto('/');
    await seesDashboardOf(page, ada);
  });

  it('works in several browsers at once', async () => {
    await using server = await startProduct();
    await using first = await visitor(server.url);
    const laptop = await first.tab();
    await register(laptop, ada);
    await using second = await visitor(server.url);
    await logIn(await second.tab(), ada);
    await laptop.reload();
    await seesDashboardOf(laptop, ada);
  });
});
