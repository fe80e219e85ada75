import type { Page } from 'playwright-core';

/** What a page showed at one moment. */
export interface Sight {
  path: string;
  heading: string;
}

/**
 * Records every page shown in the tab from the next load on, however briefly: a MutationObserver runs after each change of
 * the document and before it is painted. Each load starts a new record.
 * @returns a function that resolves what the current load has shown so far
 */
export async function watchPages(page: Page): Promise<() => Promise<Sight[]>> {
  await page.addInitScript(() => {
    const sights: Sight[] = [];
    Object.assign(window, { sights });
    new MutationObserver(() => {
      const heading = document.querySelector('h1')?.textContent ?? '';
      const path = location.pathname;
      const last = sights.at(-1);
      if (heading !== '' && (last?.heading !== heading || last.path !== path)) sights.push({ path, heading });
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });
  return () => page.evaluate(() => (window as unknown as { sights: Sight[] }).sights);
}
