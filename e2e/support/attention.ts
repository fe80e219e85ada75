import type { Page } from 'playwright-core';

/** Makes the page hidden, as if the person switched to another window. A hidden page renews no token ahead of time. */
export async function lookAway(page: Page): Promise<void> {
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  });
}

/**
 * Makes the page visible for a moment, in which it refetches what it shows, once. Hidden again at once, so that the rest of
 * the test may take as long as it likes.
 */
export async function glance(page: Page): Promise<void> {
  await page.evaluate(() => {
    let state: DocumentVisibilityState = 'visible';
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    state = 'hidden';
  });
}
