import { describe, expect, it } from 'vitest';
import { call, createAccount } from './support/api.ts';
import { glance, lookAway } from './support/attention.ts';
import { ada, grace, logIn, register, seesDashboardOf, seesLogin, sendLogin, logOut } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { storedBy } from './support/storage.ts';
import { visitor, type Visitor } from './support/visitor.ts';
import { watchPages } from './support/witness.ts';

/** Ends the session from outside the browser, with its cookie. */
async function endSession(server: { url: string }, browser: Visitor): Promise<void> {
  const cookies = await browser.context.cookies();
  const header = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  const answer = await call(server, 'auth.logout', { headers: { cookie: header } });
  expect(answer.status).toBe(200);
}

describe('leaving', () => {
  it('leads to the login page, and nothing brings the dashboard back', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await logOut(page);
    expect((await browser.context.cookies()).map(({ name }) => name)).not.toContain('__Host-refreshToken');

    const sights = await watchPages(page);
    await page.goto('/dashboard');
    await seesLogin(page);
    await page.goBack();
    await seesLogin(page);
    await page.reload();
    await seesLogin(page);
    expect(await sights()).not.toContainEqual(expect.objectContaining({ heading: 'Dashboard' }));
  });

  it('logs out somebody who closes the page before the server is notified', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    const cookies = await browser.context.cookies();
    await page.route('**/trpc/auth.logout', (route) => route.abort('connectionreset'), { times: 1 });
    browser.expectFault(/auth\.logout.*ERR_CONNECTION_RESET|ERR_CONNECTION_RESET.*auth\.logout/);
    // The page may be trying again when it is left.
    browser.expectFault(/auth\.logout: net::ERR_ABORTED/);
    const lost = page.waitForEvent('requestfailed', (request) => request.url().includes('auth.logout'));
    await page.getByRole('button', { name: 'Log out' }).click();
    await lost;

    const notified = page.waitForResponse(/auth\.logout/);
    await page.goto('/dashboard');
    await seesLogin(page);
    expect((await notified).status()).toBe(200);
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const refresh = await call(server, 'auth.refresh', { headers: { cookie } });
    expect(await refresh.json()).toMatchObject({ error: { data: { failure: { reason: 'revoked' } } } });
  });

  it('leaves no personal data on screen or in the browser if the server is down', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    const sights = await watchPages(page);
    await register(page, ada);
    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await server.stop();
    await page.getByRole('button', { name: 'Log out' }).click();
    await seesLogin(page);
    const before = (await sights()).length;
    await page.getByRole('link', { name: 'Create an account' }).click();
    await page.getByRole('heading', { name: 'Create your account' }).waitFor();
    await page.goBack();
    await seesLogin(page);
    expect((await sights()).slice(before)).not.toContainEqual(expect.objectContaining({ heading: 'Dashboard' }));
    const left = [await storedBy(page), await page.content()].join('\n');
    expect([ada.username, ada.email].filter((text) => left.includes(text))).toEqual([]);
  });

  it('shows no personal data through the Back button', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    const sights = await watchPages(page);
    await register(page, ada);
    await logOut(page);
    const before = (await sights()).length;

    // To another page of the app and back, then back past the dashboard.
    await page.getByRole('link', { name: 'Create an account' }).click();
    await page.getByRole('heading', { name: 'Create your account' }).waitFor();
    await page.goBack();
    await seesLogin(page);
    await page.goBack();
    await page.goForward();
    await seesLogin(page);
    expect((await sights()).slice(before)).not.toContainEqual(expect.objectContaining({ heading: 'Dashboard' }));
  });

  it('shows the login page on the next call if nothing else reports that the session has ended', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await register(page, ada);
    await lookAway(page);
    await endSession(server, browser);

    browser.expectFault(/401.*auth\.me/);
    await glance(page);
    await seesLogin(page);
    await page.getByRole('status').getByText('You have been logged out. Please log in again.').waitFor();
    expect(browser.calls('auth.refresh')).toBe(0);
    await sendLogin(page, ada);
    await seesDashboardOf(page, ada);
  });

  it('asks for the password, and explains why, if the session ended while the page was closed', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await page.goto('about:blank');
    await endSession(server, browser);

    browser.expectFault(/401.*auth\.refresh/);
    const sights = await watchPages(page);
    await page.goto('/dashboard');
    await seesLogin(page);
    await page.getByText('You have been logged out. Please log in again.').waitFor();
    expect(await sights()).not.toContainEqual(expect.objectContaining({ heading: 'Dashboard' }));
  });

  it('is not caused by a login and logout in another browser', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await lookAway(page);

    await using elsewhere = await visitor(server.url);
    const other = await elsewhere.tab();
    await logIn(other, ada);
    await logOut(other);

    const answer = page.waitForResponse(/auth\.me/);
    await glance(page);
    expect((await answer).status()).toBe(200);
    await seesDashboardOf(page, ada);
  });

  it('shows the next user of the same screen only their own page', async () => {
    await using server = await startProduct();
    await createAccount(server, grace);
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await logOut(page);
    const shown = page.getByText(ada.email);
    await sendLogin(page, grace);
    await seesDashboardOf(page, grace);
    expect(await shown.count()).toBe(0);
  });
});
