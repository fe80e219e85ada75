import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { glance, lookAway } from './support/attention.ts';
import { ada, register, seesDashboardOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { collectTokens } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';

/** Everything that this origin keeps in the browser, and everything of it that anybody could look at. */
async function keptBy(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const kept: unknown[] = [
      document.cookie,
      location.href,
      document.documentElement.outerHTML,
      history.state,
      name,
      Object.entries(localStorage),
      Object.entries(sessionStorage),
    ];
    for (const cache of await caches.keys()) kept.push(cache, await (await caches.open(cache)).keys());
    // There is to be none at all; so their names are enough to tell.
    for (const database of await indexedDB.databases()) kept.push(database.name);
    return JSON.stringify(kept);
  });
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

test('no token and no password is kept in the browser, written to the log or the database, or put into an address', async () => {
  await using server = await startProduct({ settings: { LOG_LEVEL: 'trace' } });
  await using browser = await visitor(server.url);
  const tokens = collectTokens(browser.context);
  const page = await browser.tab();
  const second = await browser.tab();

  const cookies: string[] = [];
  await register(page, ada);
  cookies.push(...(await cookieValues(browser.context)));
  // A refresh, a call, another tab: each is an occasion to leave something behind.
  await page.reload();
  await seesDashboardOf(page, ada);
  await lookAway(page);
  const answer = page.waitForResponse(/auth\.me/);
  await glance(page);
  await answer;
  await second.goto('/dashboard');
  await seesDashboardOf(second, ada);
  cookies.push(...(await cookieValues(browser.context)));

  // Of each the claims and the signature: the header is the same for all.
  const secrets = [ada.password, ...[...tokens, ...cookies].flatMap((token) => token.split('.').slice(1))];
  expect(tokens.length).toBeGreaterThanOrEqual(3);
  expect(cookies.length).toBeGreaterThanOrEqual(2);

  const places = {
    'the first tab': await keptBy(page),
    'the second tab': await keptBy(second),
    'the addresses': browser.requests.map((request) => request.url()).join('\n'),
    'the output': server.output(),
    'the database': await bytesOf(server.folder),
  };
  // That each was really looked at: what is to be there is found.
  expect(places['the first tab']).toContain(ada.email);
  expect(places['the output']).toContain('auth.me');
  expect(places['the database']).toContain(ada.email);
  for (const [place, text] of Object.entries(places))
    expect({ place, holds: secrets.filter((secret) => text.includes(secret)) }).toEqual({ place, holds: [] });
});
