import type { Page } from 'playwright-core';
import { register, seesDashboardOf, type Person } from './people.ts';
import type { Visitor } from './visitor.ts';

type Five = [Page, Page, Page, Page, Page];

/** Creates the account, and shows its dashboard in five tabs. */
export async function fiveTabs(browser: Visitor, person: Person): Promise<Five> {
  const first = await browser.tab();
  await register(first, person);
  const another = async () => {
    const tab = await browser.tab();
    await tab.goto('/dashboard');
    await seesDashboardOf(tab, person);
    return tab;
  };
  return [first, await another(), await another(), await another(), await another()];
}
