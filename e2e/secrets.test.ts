import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { Grant } from '../src/shared/auth.ts';
import { glance, lookAway } from './support/attention.ts';
import { linkIn, mailServer, tokenIn } from './support/mail.ts';
import { ada, register, seesDashboardOf, seesLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { storedBy } from './support/storage.ts';
import { collectTokens } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';

/** Everything that the app has stored in the browser, and all that the page shows. */
async function keptBy(page: Page): Promise<string> {
  const seen = await page.evaluate(() => [location.href, document.documentElement.outerHTML]);
  return [await storedBy(page), ...seen].join('\n');
}

async function bytesOf(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = await Promise.all(files.map((file) => readFile(file, 'latin1')));
  return contents.join('\n');
}

async function cookieValues(context: BrowserContext): Promise<string[]> {
  return (await context.cookies()).map(({ value }) => value);
}

describe('tokens and passwords', () => {
  it('never reach browser storage, the log, the database or a URL', async () => {
    await using server = await startProduct({ settings: { LOG_LEVEL: 'trace' } });
    await using browser = await visitor(server.url);
    const tokens = collectTokens(browser.context);
    const page = await browser.tab();
    const second = await browser.tab();

    const cookies: string[] = [];
    await register(page, ada);
    cookies.push(...(await cookieValues(browser.context)));
    // A refresh, a call and another tab: each could leave something behind.
    await page.reload();
    await seesDashboardOf(page, ada);
    await lookAway(page);
    const answer = page.waitForResponse(/auth\.me/);
    await glance(page);
    await answer;
    await second.goto('/dashboard');
    await seesDashboardOf(second, ada);
    cookies.push(...(await cookieValues(browser.context)));

    // The claims and the signature of each token: the header is the same for all.
    const secrets = [ada.password, ...[...tokens, ...cookies].flatMap((token) => token.split('.').slice(1))];
    expect(tokens.length).toBeGreaterThanOrEqual(3);
    expect(cookies.length).toBeGreaterThanOrEqual(2);

    const places = {
      'the first tab': await keptBy(page),
      'the second tab': await keptBy(second),
      'the URLs': browser.requests.map((request) => request.url()).join('\n'),
      'the output': server.output(),
      'the database': await bytesOf(server.folder),
    };
    // Proves that each place was searched: what must be there is found.
    expect(places['the first tab']).toContain(ada.email);
    expect(places['the output']).toContain('auth.me');
    expect(places['the database']).toContain(ada.email);
    for (const [place, text] of Object.entries(places))
      expect({ place, holds: secrets.filter((secret) => text.includes(secret)) }).toEqual({ place, holds: [] });
  });
});

describe('the token of a mailed link', () => {
  it('is in the address only until the page has read it, and nowhere else afterwards', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: { ...mail.settings, LOG_LEVEL: 'trace' } });
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    const verification = await mail.mailTo(ada.email, /Confirm/);
    await page.goto(linkIn(verification));
    await page.getByRole('button', { name: 'Confirm email' }).waitFor();
    const open = { address: page.url(), history: await page.evaluate(() => JSON.stringify(history.state)) };
    await page.getByRole('button', { name: 'Confirm email' }).click();
    await page.getByText('Your email is confirmed.').waitFor();
    const afterVerification = await keptBy(page);

    await page.goto('/forgot-password');
    await page.getByLabel('Email').fill(ada.email);
    await page.getByRole('button', { name: 'Send the link' }).click();
    await page.getByRole('heading', { name: 'Check your mail' }).waitFor();
    const reset = await mail.mailTo(ada.email, /Reset/);
    await page.goto(linkIn(reset));
    await page.getByLabel('New password').fill('an engine of difference');
    const afterReading = await keptBy(page);
    await page.getByRole('button', { name: 'Set password' }).click();
    await seesLogin(page);
    // Nor does going back bring it back. The cookie is that of an ended session.
    browser.expectFault(/401.*auth\.refresh/);
    await page.goBack();
    await page.getByRole('heading', { level: 1 }).waitFor();

    const secrets = [verification, reset].flatMap((message) => tokenIn(message).split('.').slice(1));
    expect(secrets).toHaveLength(4);
    const places = {
      ...open,
      'after reading the link': afterReading,
      'after using it': afterVerification,
      'after going back': `${page.url()} ${await keptBy(page)}`,
      'the URLs and headers': browser.requests
        .map((request) => `${request.url()} ${JSON.stringify(request.headers())}`)
        .join('\n'),
      'the output': server.output(),
      'the database': await bytesOf(server.folder),
    };
    expect(places['the output']).toContain('passwordReset.complete');
    expect(places['the URLs and headers']).toContain('/reset-password');
    expect(browser.requests.map((request) => request.postData() ?? '').join()).toContain(secrets[0]);
    for (const [place, text] of Object.entries(places))
      expect({ place, holds: secrets.filter((secret) => text.includes(secret)) }).toEqual({ place, holds: [] });
  });
});

describe('browser storage', () => {
  it('does not name the person who is logged in', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    const registered = page.waitForResponse(/auth\.register/);
    await register(page, ada);
    const { result } = (await (await registered).json()) as { result: { data: Grant } };
    await page.reload();
    await seesDashboardOf(page, ada);
    const stored = await storedBy(page);
    // Proves that the storage was searched: the marker that distinguishes a known browser from a first visit is found. It may hold
    // the ids of session and user, which are random.
    expect(stored).toContain(result.data.session.id);
    const { username, email } = result.data.user;
    expect([username, email].filter((text) => stored.includes(text))).toEqual([]);
  });
});
