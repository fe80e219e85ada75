import type { Page } from 'playwright-core';
import { createAccount } from './api.ts';
import { grace, logIn } from './people.ts';
import type { RunningServer } from './server.ts';

/** Logs Grace in, who is an admin. Resolves on the people page. */
export async function openAdmin(server: RunningServer, page: Page): Promise<void> {
  await createAccount(server, grace);
  await server.query("update users set role = 'admin' where email = $1", grace.email);
  await logIn(page, grace);
  await page.getByRole('link', { name: 'Admin' }).click();
  await page.getByRole('heading', { name: 'People' }).waitFor();
}

/** Follows the link in the list of people, which must show it. */
export async function openPerson(page: Page, username: string): Promise<void> {
  await page.getByRole('row').getByRole('link', { name: username, exact: true }).click();
  await page.getByRole('heading', { name: username, level: 1 }).waitFor();
}

/** Presses a button, and the one in the dialog that it opens. Resolves once the dialog is gone. */
export async function doAndConfirm(page: Page, button: string, confirm: string): Promise<void> {
  await page.getByRole('button', { name: button, exact: true }).click();
  await confirmDialog(page, confirm);
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
}

export async function confirmDialog(page: Page, confirm: string): Promise<void> {
  await page.getByRole('dialog').getByRole('button', { name: confirm, exact: true }).click();
}

/** Accounts `p001`, `p002`, … that nobody can log in to. */
export async function addPeople(server: Pick<RunningServer, 'query'>, count: number): Promise<void> {
  await server.query(`with recursive numbers(n) as (select 1001 union all select n + 1 from numbers where n < 1000 + ${count})
     insert into users (id, username, email, password_hash, password_changed_at, role, created_at)
     select 'id-' || n, 'p' || substr('' || n, 2), 'p' || substr('' || n, 2) || '@example.com', 'none', 1, 'user', 1 from numbers`);
}
