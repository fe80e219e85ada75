import type { Page } from 'playwright-core';

export async function storedBy(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const stored: unknown[] = [
      document.cookie,
      history.state,
      name,
      Object.entries(localStorage),
      Object.entries(sessionStorage),
    ];
    for (const cache of await caches.keys()) stored.push(cache, await (await caches.open(cache)).keys());
    // There should be none, so names are enough.
    for (const database of await indexedDB.databases()) stored.push(database.name);
    return JSON.stringify(stored);
  });
}
