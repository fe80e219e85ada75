import type { Page } from 'playwright-core';

export interface Person {
  username: string;
  email: string;
  password: string;
}

export const ada: Person = {
  username: 'Ada.Lovelace',
  email: 'ada@example.com',
  password: 'weaves algebraic patterns',
};
export const grace: Person = { username: 'grace', email: 'grace@example.com', password: 'a bug taped into the log' };

export async function fillIn(page: Page, { username, email, password }: Partial<Person>): Promise<void> {
  if (username !== undefined) await page.getByLabel('Username').fill(username);
  if (email !== undefined) await page.getByLabel('Email').fill(email);
  if (password !== undefined) await page.getByLabel('Password', { exact: true }).fill(password);
}

/** Resolves on the dashboard. */
export async function register(page: Page, person: Person): Promise<void> {
  await sendRegistration(page, person);
  await seesDashboardOf(page, person);
}

export async function sendRegistration(page: Page, person: Person): Promise<void> {
  await page.goto('/register');
  await fillIn(page, person);
  await page.getByRole('button', { name: 'Create account' }).click();
}

/** Resolves on the dashboard. */
export async function logIn(page: Page, person: Person): Promise<void> {
  await page.goto('/login');
  await sendLogin(page, person);
  await seesDashboardOf(page, person);
}

export async function sendLogin(page: Page, { email, password }: Pick<Person, 'email' | 'password'>): Promise<void> {
  await fillIn(page, { email, password });
  await page.getByRole('button', { name: 'Log in' }).click();
}

/** Resolves once the server has responded, for which the page itself does not wait. */
export async function logOut(page: Page): Promise<void> {
  // The whole response: navigating before its end would abort it.
  const answered = page.waitForEvent('requestfinished', (request) => request.url().includes('auth.logout'));
  await page.getByRole('button', { name: 'Log out' }).click();
  await seesLogin(page);
  await answered;
}

export async function seesDashboardOf(page: Page, { username, email }: Person): Promise<void> {
  await page.getByRole('heading', { name: 'Dashboard' }).waitFor();
  await page.getByText(`Welcome, ${username}!`).waitFor();
  await page.getByText(email, { exact: true }).waitFor();
}

export async function seesLogin(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  await page.getByText('Welcome, ').waitFor({ state: 'hidden' });
}

export async function tracesOf(page: Page, { username, email }: Person): Promise<string[]> {
  // Unlike `page.content`, it waits while the page navigates.
  const source = await page.locator(':root').innerHTML();
  return [username, email].filter((trace) => source.includes(trace));
}
