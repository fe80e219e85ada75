import type { Locator, Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { createAccount } from './support/api.ts';
import { ada, fillIn, grace, seesDashboardOf, seesLogin, sendLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

/** What a screen reader reads out with a field that is wrong. */
async function complaintOf(page: Page, label: string): Promise<string> {
  const field = page.getByLabel(label, { exact: true }).and(page.locator('[aria-invalid=true]'));
  const id = await field.getAttribute('aria-describedby');
  return page.locator(`[id="${id}"]`).innerText();
}

test('somebody new finds the way in, registers and is logged in', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  await page.goto('/');
  await page.getByRole('link', { name: 'Create an account' }).click();
  await fillIn(page, ada);
  await page.getByRole('button', { name: 'Create account' }).click();
  await seesDashboardOf(page, ada);
  expect(new URL(page.url()).pathname).toBe('/dashboard');
});

test('a first visit asks for nothing that fails, and for no session', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  await page.goto('/');
  await seesLogin(page);
  expect(new URL(page.url()).pathname).toBe('/login');
  expect(browser.requests.map((request) => new URL(request.url()).pathname)).not.toContainEqual(
    expect.stringContaining('/trpc'),
  );
});

test('somebody with an account logs in, however they write their email', async () => {
  await using server = await startProduct();
  await createAccount(server, ada);
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  await page.goto('/login');
  await sendLogin(page, { email: ' ADA@Example.com', password: ada.password });
  await seesDashboardOf(page, ada);
});

test('a wrong password and an unknown email get the same answer, and the right one still works', async () => {
  await using server = await startProduct();
  await createAccount(server, ada);
  await using browser = await visitor(server.url);
  browser.expectFault(/401.*auth\.login/);
  const page = await browser.tab();
  await page.goto('/login');

  await sendLogin(page, { email: ada.email, password: 'weaves algebraic Patterns' });
  await page.getByRole('alert').getByText('Email or password is wrong.').waitFor();
  // What was typed is still there: only the password is to be corrected.
  expect(await page.getByLabel('Email').inputValue()).toBe(ada.email);

  const answer = page.waitForResponse(/auth\.login/);
  await sendLogin(page, { email: 'nobody@example.com', password: ada.password });
  expect((await answer).status()).toBe(401);
  await page.getByRole('alert').getByText('Email or password is wrong.').waitFor();

  await sendLogin(page, ada);
  await seesDashboardOf(page, ada);
});

test('a taken username and a taken email are said at their fields', async () => {
  await using server = await startProduct();
  await createAccount(server, ada);
  await using browser = await visitor(server.url);
  browser.expectFault(/409.*auth\.register/);
  const page = await browser.tab();
  await page.goto('/register');

  await fillIn(page, { ...grace, username: ada.username.toUpperCase() });
  await page.getByRole('button', { name: 'Create account' }).click();
  expect(await complaintOf(page, 'Username')).toBe('This username is already taken.');
  await isFocused(page.getByLabel('Username'));

  await fillIn(page, { ...grace, email: ada.email.toUpperCase() });
  await page.getByRole('button', { name: 'Create account' }).click();
  expect(await complaintOf(page, 'Email')).toBe('There is already an account with this email.');
  await isFocused(page.getByLabel('Email'));

  await fillIn(page, grace);
  await page.getByRole('button', { name: 'Create account' }).click();
  await seesDashboardOf(page, grace);
});

test('what cannot be an account is said at its field, without asking the server', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  await page.goto('/register');
  await fillIn(page, { username: 'a b', email: 'ada@nowhere', password: 'short' });
  await page.getByRole('button', { name: 'Create account' }).click();
  expect(await complaintOf(page, 'Username')).toContain('Use only letters');
  expect(await complaintOf(page, 'Email')).toContain('name@example.com');
  expect(await complaintOf(page, 'Password')).toContain('at least 8 characters');
  await isFocused(page.getByLabel('Username'));

  await page.goto('/login');
  await page.getByRole('button', { name: 'Log in' }).click();
  expect(await complaintOf(page, 'Email')).toBe('Enter your email.');
  expect(await complaintOf(page, 'Password')).toBe('Enter your password.');
  expect(browser.calls('auth.register') + browser.calls('auth.login')).toBe(0);
});

test('a password that everybody uses is refused by the server, at its field', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  browser.expectFault(/400.*auth\.register/);
  const page = await browser.tab();
  await page.goto('/register');
  await fillIn(page, { ...ada, password: 'iloveyou1' });
  await page.getByRole('button', { name: 'Create account' }).click();
  expect(await complaintOf(page, 'Password')).toContain('Many people use this password');
});

test('registering and logging in works with the keyboard alone', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  await page.goto('/');

  await tabTo(page, page.getByRole('link', { name: 'Create an account' }));
  await page.keyboard.press('Enter');
  await isFocused(page.getByRole('heading', { level: 1 }));
  for (const [label, text] of [
    ['Username', grace.username],
    ['Email', grace.email],
    ['Password', grace.password],
  ] as const) {
    await tabTo(page, page.getByLabel(label, { exact: true }));
    await page.keyboard.type(text);
  }
  await page.keyboard.press('Enter');
  await seesDashboardOf(page, grace);
  await isFocused(page.getByRole('heading', { name: 'Dashboard' }));

  // Backwards, for a change: the button is in the header.
  await tabTo(page, page.getByRole('button', { name: 'Log out' }), 'Shift+Tab');
  await page.keyboard.press('Space');
  await seesLogin(page);

  await tabTo(page, page.getByLabel('Email'));
  await page.keyboard.type(grace.email);
  await tabTo(page, page.getByLabel('Password', { exact: true }));
  await page.keyboard.type(grace.password);
  await tabTo(page, page.getByRole('button', { name: 'Log in' }));
  await page.keyboard.press('Space');
  await seesDashboardOf(page, grace);
});

test('the skip link is the first thing that Tab reaches, and leads past the header', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  await page.goto('/login');
  await seesLogin(page);
  await page.keyboard.press('Tab');
  await isFocused(page.getByRole('link', { name: 'Skip to content' }));
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await isFocused(page.getByLabel('Email'));
});

/** Waits until it has the focus. */
async function isFocused(locator: Locator): Promise<void> {
  await locator.and(locator.page().locator(':focus')).waitFor();
}

async function tabTo(page: Page, target: Locator, key = 'Tab'): Promise<void> {
  await target.waitFor();
  for (let presses = 0; presses < 10; presses++) {
    await page.keyboard.press(key);
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`${String(target)} cannot be reached with ${key}.`);
}

test('a password is hidden until it is asked for, can be pasted, and is known to password managers', async () => {
  await using server = await startProduct();
  await using browser = await visitor(server.url);
  const page = await browser.tab();
  for (const [path, purpose] of [
    ['/login', 'current-password'],
    ['/register', 'new-password'],
  ]) {
    await page.goto(path!);
    expect(await page.getByLabel('Email').getAttribute('autocomplete')).toBe('username');
    const password = page.getByLabel('Password', { exact: true });
    expect(await password.getAttribute('type')).toBe('password');
    expect(await password.getAttribute('autocomplete')).toBe(purpose);
    // Far more than is allowed: cut off without a word it would be another one.
    const pasted = ada.password.repeat(10);
    await password.evaluate((field: HTMLInputElement, text) => {
      field.focus();
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', text);
      const paste = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
      // What a browser does by itself, unless the page forbids it.
      if (field.dispatchEvent(paste)) document.execCommand('insertText', false, text);
    }, pasted);
    expect(await password.inputValue()).toBe(pasted);
    await page.getByRole('button', { name: 'Show password' }).click();
    expect(await password.getAttribute('type')).toBe('text');
    await page.getByRole('button', { name: 'Hide password' }).click();
    expect(await password.getAttribute('type')).toBe('password');
    expect(await page.content()).not.toContain(ada.password);
  }
});
