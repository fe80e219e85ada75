import { it } from 'vitest';
import { expectAccessible } from './support/accessible.ts';
import { addPeople, openAdmin, openPerson } from './support/admin.ts';
import { createAccount } from './support/api.ts';
import { mailServer } from './support/mail.ts';
import { ada, register } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { waitForTitle } from './support/title.ts';
import { visitor } from './support/visitor.ts';

/** axe runs 32 times, which took more than half of the usual time on a busy machine. */
const TIMEOUT_MS = 300_000;

const longest = { ...ada, username: 'Wolfeschlegelsteinhausenbergerdo' };

it('passes axe on every page for admins, and each has its own title', { timeout: TIMEOUT_MS }, async () => {
  await using mail = await mailServer();
  await using server = await startProduct({ settings: mail.settings });
  // Without animations, so that axe measures final colors.
  await using browser = await visitor(server.url, { reducedMotion: 'reduce' });
  browser.expectFault(/404.*admin\.person/);
  await createAccount(server, longest);
  await addPeople(server, 60);
  const page = await browser.tab();
  await openAdmin(server, page);
  await page.getByText('50 people so far').waitFor();
  await waitForTitle(page, 'People');
  await expectAccessible(page, 'people');
  await page.goto('/admin/people?search=nobody');
  await page.getByText('starts with “nobody”').waitFor();
  await expectAccessible(page, 'people, none found');

  await page.goto('/admin/people?search=wolf');
  await openPerson(page, longest.username);
  await waitForTitle(page, longest.username);
  await expectAccessible(page, 'person');
  await page.getByRole('button', { name: 'Disable account' }).click();
  await page.getByRole('dialog').waitFor();
  await expectAccessible(page, 'person, asking');
  await page.goto('/admin/people/nobody');
  await page.getByRole('heading', { name: 'No such person' }).waitFor();
  await waitForTitle(page, 'No such person');
  await expectAccessible(page, 'no such person');

  await page.goto('/admin/audit');
  await page.getByText('3 events', { exact: true }).waitFor();
  await waitForTitle(page, 'Audit');
  await expectAccessible(page, 'audit');
  await page.goto('/admin/audit?person=nobody');
  await page.getByText('Nothing has been recorded.').waitFor();
  await expectAccessible(page, 'audit, nothing found');

  await using members = await visitor(server.url, { reducedMotion: 'reduce' });
  const member = await members.tab();
  await register(member, { ...ada, username: 'ada', email: 'another@example.com' });
  await member.goto('/admin');
  await member.getByRole('heading', { name: 'You are not allowed to see this page' }).waitFor();
  await waitForTitle(member, 'Not allowed');
  await expectAccessible(member, 'not allowed');
});
