import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openAccount } from './support/account.ts';
import { ada, grace, logIn, register, seesDashboardOf, seesLogin, sendLogin, tracesOf } from './support/people.ts';
import { createAccount } from './support/api.ts';
import { startProduct } from './support/server.ts';
import { fiveTabs } from './support/tabs.ts';
import { visitor } from './support/visitor.ts';

describe('the username', () => {
  it('changes, here and in another browser, unless it is taken', async () => {
    await using server = await startProduct();
    await createAccount(server, grace);
    await using browser = await visitor(server.url);
    browser.expectFault(/409.*account\.changeUsername/);
    const page = await browser.tab();
    await register(page, ada);
    await using elsewhere = await visitor(server.url);
    const other = await elsewhere.tab();
    const listens = other.waitForResponse(/auth\.sessionEvents/);
    await logIn(other, ada);
    await listens;
    await openAccount(page);
    const field = page.getByRole('textbox', { name: 'Username' });
    expect(await field.inputValue()).toBe(ada.username);
    await field.fill(grace.username.toUpperCase());
    await page.getByRole('button', { name: 'Change username' }).click();
    await page.getByText('This username is already taken.').waitFor();
    await field.fill('Countess');
    await page.getByRole('button', { name: 'Change username' }).click();
    await page.getByText('Saved.').waitFor();
    await other.getByText('Welcome, Countess!').waitFor();
    await page.goto('/dashboard');
    await seesDashboardOf(page, { ...ada, username: 'Countess' });
  });
});

describe('the password', () => {
  it('changes as strictly as it is chosen, and logs out everywhere else', async () => {
    await using server = await startProduct({ settings: { PASSWORD_MIN_LENGTH: '12' } });
    await using browser = await visitor(server.url);
    browser.expectFault(/400.*account\.changePassword/);
    const page = await browser.tab();
    await register(page, ada);
    await using elsewhere = await visitor(server.url);
    elsewhere.expectFault(/401.*auth\.login/);
    const other = await elsewhere.tab();
    const listens = other.waitForResponse(/auth\.sessionEvents/);
    await logIn(other, ada);
    await listens;
    await openAccount(page);

    const change = async (password: string) => {
      await page.getByLabel('New password').fill(password);
      await page.getByRole('button', { name: 'Change password' }).click();
    };
    await change('elevenchars');
    await page.getByText('Use at least 12 characters.').waitFor();
    await change(ada.email.toUpperCase());
    await page.getByText('Choose a password that is not your email or username.').waitFor();
    // Neither was sent. What only the server knows is refused there.
    expect(browser.calls('account.changePassword')).toBe(0);
    await change('passwordpassword');
    await page.getByText('Many people use this password.').waitFor();
    await change('an engine of difference');
    await page.getByText('Your other sessions have been logged out.').waitFor();
    expect(await page.getByLabel('New password').inputValue()).toBe('');
    await page.reload();
    await page.getByText('This browser').waitFor();

    await seesLogin(other);
    await other.getByText('You have been logged out. Please log in again.').waitFor();
    await sendLogin(other, ada);
    await other.getByRole('alert').getByText('Email or password is wrong.').waitFor();
    await sendLogin(other, { ...ada, password: 'an engine of difference' });
    await seesDashboardOf(other, ada);
  });
});

describe('the export', () => {
  it('is a file with what is kept about the person, and no secret', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await openAccount(page);
    const saving = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download your data' }).click();
    const download = await saving;
    await page.getByText('Downloaded.').waitFor();
    expect(download.suggestedFilename()).toBe(`latchkey-${ada.username}.json`);
    const text = await readFile(await download.path(), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ account: { username: ada.username, email: ada.email } });
    expect(text).not.toMatch(/\$2[aby]\$|eyJ/);
  });
});

describe('deleting the account', () => {
  it('takes the username, typed again; each tab leaves, and nothing of the person stays', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/400.*account\.delete/);
    // A tab may load anew before the cookie is cleared, and ask with it.
    browser.expectFault(/401.*auth\.(me|login|refresh)/);
    const tabs = await fiveTabs(browser, ada);
    const [page, ...others] = tabs;
    await openAccount(page);
    await page.getByRole('button', { name: 'Delete account' }).click();
    const dialog = page.getByRole('dialog', { name: 'Delete your account?' });
    await dialog.getByLabel('Username').fill(ada.username.toLowerCase());
    await dialog.getByRole('button', { name: 'Delete for good' }).click();
    await dialog.getByText('exactly as shown').waitFor();
    await dialog.getByRole('button', { name: 'Keep my account' }).click();
    await dialog.waitFor({ state: 'hidden' });

    await page.getByRole('button', { name: 'Delete account' }).click();
    await dialog.getByLabel('Username').fill(ada.username);
    const loggedOut = page.waitForEvent('requestfinished', (request) => request.url().includes('auth.logout'));
    await dialog.getByRole('button', { name: 'Delete for good' }).click();
    await page.getByRole('status').getByText('Your account has been deleted.').waitFor();
    await loggedOut;
    const cookies = await browser.context.cookies();
    expect(cookies.filter(({ name }) => /refresh/i.test(name))).toEqual([]);
    for (const tab of others) await seesLogin(tab);
    for (const tab of tabs) expect(await tracesOf(tab, ada)).toEqual([]);

    await sendLogin(page, ada);
    await page.getByRole('alert').getByText('Email or password is wrong.').waitFor();
    // The names are free again, and the next person hears nothing of it.
    await register(page, ada);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByRole('status').getByText('You have logged out.').waitFor();
  });

  it('reaches a tab that is in the middle of something', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await using elsewhere = await visitor(server.url);
    elsewhere.expectFault(/401.*auth\.me/);
    const page = await browser.tab();
    await register(page, ada);
    // It hears of the end only from its own next call.
    await elsewhere.context.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
    elsewhere.expectFault(/ERR_CONNECTION_REFUSED/);
    const other = await elsewhere.tab();
    await logIn(other, ada);
    await openAccount(page);
    await page.getByRole('button', { name: 'Delete account' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Username').fill(ada.username);
    await dialog.getByRole('button', { name: 'Delete for good' }).click();
    await page.getByRole('status').getByText('Your account has been deleted.').waitFor();
    await other.getByRole('button', { name: 'Call auth.me' }).click();
    await seesLogin(other);
    expect(await tracesOf(other, ada)).toEqual([]);
  });
});
