import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

const WIDTHS = { narrow: 320, wide: 1280 };

/** Runs axe on the open page in light and dark, narrow and wide, and checks that it never scrolls sideways. */
export async function expectAccessible(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const)
    for (const [width, pixels] of Object.entries(WIDTHS)) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width: pixels, height: 800 });
      const { violations } = await new AxeBuilder({ page }).analyze();
      const found = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`));
      // WCAG 2.2, 1.4.10 (Reflow): no scrolling in two dimensions at 320 CSS pixels.
      const pixelsBeyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect({ name, colorScheme, width, found, pixelsBeyond }).toEqual({
        name,
        colorScheme,
        width,
        found: [],
        pixelsBeyond: 0,
      });
    }
}
