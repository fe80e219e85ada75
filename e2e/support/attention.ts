import type { Page } from 'playwright-core';

/** The person turns to another window. A page that nobody looks at refreshes nothing ahead of time. */
export async function lookAway(page: Page): Promise<void> {
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  });
}

/**
 * The person looks at the page and away again: it fetches anew what it shows, once. Away again at once, so that it makes
 * no difference how long the rest of the story takes.
 */
export async function glance(page: Page): Promise<void> {
  await page.evaluate(() => {
    let state: DocumentVisibilityState = 'visible';
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    state = 'hidden';
  });
}
