import { expect, test } from 'vitest';
import { createAccount } from './support/api.ts';
import { ada, register, seesDashboardOf, seesLogin, sendLogin, logOut } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

/** Where somebody might like to send a person who has just logged in. */
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

test('a guest who wants to see the dashboard gets there through the login', async () => {
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

test('the way to the dashboard also leads through registering', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  await page.goto('/dashboard?from=mail');
  await page.getByRole('link', { name: 'Create an account' }).click();
  await page.getByLabel('Username').fill(ada.username);
  await page.getByLabel('Email').fill(ada.email);
  await page.getByLabel('Password', { exact: true }).fill(ada.password);
  await page.getByRole('button', { name: 'Create account' }).click();
  await seesDashboardOf(page, ada);
  expect(page.url()).toBe(`${server.url}/dashboard?from=mail`);
});

test('no address leads anywhere but to our own pages after logging in', async () => {
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

test('no address leads anywhere but to our own pages when somebody is logged in already', async () => {
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

test('an address that begins with two slashes stays here', async () => {
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
