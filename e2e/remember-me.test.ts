import type { Cookie } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { createAccount } from './support/api.ts';
import { ada, fillIn, seesDashboardOf, seesLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

/** Playwright's mark of a cookie that ends with the browser. */
const isTemporary = ({ expires }: Cookie) => expires === -1;
const isRefreshCookie = ({ name }: Cookie) => name === '__Host-refreshToken';

describe('the checkbox “Remember me”', () => {
  it.each([
    ['ticked, which it is at first', true],
    ['not ticked', false],
  ])('%s: after a restart of the browser, the person is logged in: %s', async (_how, isRemembered) => {
    await using server = await startProduct();
    await createAccount(server, ada);
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/login');
    await fillIn(page, { email: ada.email, password: ada.password });
    const checkbox = page.getByRole('checkbox', { name: 'Remember me' });
    expect(await checkbox.isChecked()).toBe(true);
    if (!isRemembered) await checkbox.uncheck();
    await page.getByRole('button', { name: 'Log in' }).click();
    await seesDashboardOf(page, ada);
    // It stays as it was chosen when the cookie rotates.
    await page.reload();
    await seesDashboardOf(page, ada);
    const { cookies, origins } = await browser.context.storageState();
    expect(cookies.filter(isRefreshCookie).map(isTemporary)).toEqual([!isRemembered]);

    const kept = { cookies: cookies.filter((cookie) => !isTemporary(cookie)), origins };
    await using restarted = await visitor(server.url, { storageState: kept });
    restarted.expectFault(/401.*auth\.refresh/);
    const again = await restarted.tab();
    await again.goto('/dashboard');
    await (isRemembered ? seesDashboardOf(again, ada) : seesLogin(again));
  });
});
