import type { Page } from 'playwright-core';

/** What stood on a page at one moment: its address and its heading. */
export interface Sight {
  path: string;
  heading: string;
}

/**
 * From now on notes every page that is shown in the tab, however briefly: after each change of the document and before it
 * is painted, which is when a MutationObserver is called. Holds across loads; each load begins anew.
 * @returns what the current load has shown so far
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
