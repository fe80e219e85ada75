import type { Page } from 'playwright-core';

export interface Sight {
  path: string;
  heading: string;
}

/** From the next load on, records every page shown, however briefly: MutationObservers run before painting. */
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
