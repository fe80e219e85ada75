import { describe, expect, it } from 'vitest';
import { createAccount } from './support/api.ts';
import { ada, fillIn, register, seesDashboardOf, seesLogin, sendLogin, logOut } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

/** Values of `redirectTo` that try to leave the app or to execute a script. */
const hostile = [
  '//evil.test',
  '///evil.test',
  '/\\evil.test',
  '\\\\evil.test',
  '/%2f/evil.test',
  '/%5cevil.test',
  'https:evil.test',
  'https://evil.test',
  'http:/\\/\\evil.test',
  'javascript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  '/\t/evil.test',
  '/%09/evil.test',
  '//evil%E3%80%82test',
  '/..//evil.test',
  '/.//evil.test',
  '@evil.test',
  '/login?redirectTo=//evil.test',
];

const loginPage = (redirectTo: string) => `/login?${new URLSearchParams({ redirectTo }).toString()}`;

describe('redirects after signing in', () => {
  it('returns a guest to the page they asked for after logging in', async () => {
    await using server = await startProduct();
    await createAccount(server, ada);
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/dashboard?from=mail#email');
    await seesLogin(page);
    expect(new URL(page.url()).pathname).toBe('/login');
    expect(new URL(page.url()).searchParams.get('redirectTo')).toBe('/dashboard?from=mail#email');
    await sendLogin(page, ada);
    await seesDashboardOf(page, ada);
    expect(page.url()).toBe(`${server.url}/dashboard?from=mail#email`);
  });

  it('returns a guest to the page they asked for after registering', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/dashboard?from=mail');
    await page.getByRole('link', { name: 'Create an account' }).click();
    await fillIn(page, ada);
    await page.getByRole('button', { name: 'Create account' }).click();
    await seesDashboardOf(page, ada);
    expect(page.url()).toBe(`${server.url}/dashboard?from=mail`);
  });

  it('never leaves the app after logging in, whatever redirectTo says', async () => {
    await using server = await startProduct();
    await createAccount(server, ada);
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    for (const redirectTo of hostile) {
      await page.goto(loginPage(redirectTo));
      await sendLogin(page, ada);
      await seesDashboardOf(page, ada);
      expect([redirectTo, page.url()]).toEqual([redirectTo, `${server.url}/dashboard`]);
      await logOut(page);
    }
  });

  it('never leaves the app for somebody who is already logged in', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    for (const redirectTo of hostile) {
      await page.goto(loginPage(redirectTo));
      await seesDashboardOf(page, ada);
      expect([redirectTo, page.url()]).toEqual([redirectTo, `${server.url}/dashboard`]);
    }
  });

  it('stays on this origin for a path that starts with two slashes', async () => {
    await using server = await startProduct();
    await createAccount(server, ada);
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto(`${server.url}//evil.test/login`);
    await page.getByRole('link', { name: 'Latchkey' }).click();
    await sendLogin(page, ada);
    await seesDashboardOf(page, ada);
    expect(new URL(page.url()).origin).toBe(server.url);
  });
});
