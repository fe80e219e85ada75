import type { Page } from 'playwright-core';

/** Waits for the title of the page, which is set once the page has been painted. */
export async function waitForTitle(page: Page, title: string): Promise<void> {
  await page.waitForFunction((expected) => document.title === expected, `${title} · Latchkey`);
}
