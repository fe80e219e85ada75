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

/** Fills in the form on the current page. */
export async function fillIn(page: Page, { username, email, password }: Partial<Person>): Promise<void> {
  if (username !== undefined) await page.getByLabel('Username').fill(username);
  if (email !== undefined) await page.getByLabel('Email').fill(email);
  if (password !== undefined) await page.getByLabel('Password', { exact: true }).fill(password);
}

/** Creates an account on the registration page; resolves on the dashboard. */
export async function register(page: Page, person: Person): Promise<void> {
  await page.goto('/register');
  await fillIn(page, person);
  await page.getByRole('button', { name: 'Create account' }).click();
  await seesDashboardOf(page, person);
}

/** Logs in on the login page; resolves on the dashboard. */
export async function logIn(page: Page, person: Person): Promise<void> {
  await page.goto('/login');
  await sendLogin(page, person);
  await seesDashboardOf(page, person);
}

/** Fills in and submits the login page that is open. */
export async function sendLogin(page: Page, { email, password }: Pick<Person, 'email' | 'password'>): Promise<void> {
  await fillIn(page, { email, password });
  await page.getByRole('button', { name: 'Log in' }).click();
}

/** Logs out; resolves when the server has answered, for which the page itself does not wait. */
export async function logOut(page: Page): Promise<void> {
  // The whole response: a navigation before its end would abort it.
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

/** Which of the person's name and email occur anywhere in the document. */
export async function tracesOf(page: Page, { username, email }: Person): Promise<string[]> {
  const source = await page.content();
  return [username, email].filter((trace) => source.includes(trace));
}
