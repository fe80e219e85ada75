import type { Page } from 'playwright-core';
import type { RunningServer } from './server.ts';

/** Follows the link in the header. */
export async function openAccount(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Account' }).click();
  await page.getByRole('heading', { name: 'Account', exact: true }).waitFor();
  await page.getByText('This browser').waitFor();
}

/** As if everybody had logged in more than ten minutes ago. */
export async function letProofsAge(server: Pick<RunningServer, 'query'>): Promise<void> {
  await server.query('update sessions set authenticated_at = 0');
}

export async function confirmWith(page: Page, password: string): Promise<void> {
  const dialog = page.getByRole('dialog', { name: 'Is it you?' });
  await dialog.getByLabel('Password', { exact: true }).fill(password);
  await dialog.getByRole('button', { name: 'Continue' }).click();
}
