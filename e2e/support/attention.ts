import type { Page } from 'playwright-core';

/** Hides the page, as if the user switched windows. A hidden page renews no token ahead of time. */
export async function lookAway(page: Page): Promise<void> {
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  });
}

/** Shows the page just long enough to refetch once. Hiding it again lets the rest of the test take its time. */
export async function glance(page: Page): Promise<void> {
  await page.evaluate(() => {
    let state: DocumentVisibilityState = 'visible';
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    state = 'hidden';
  });
}
