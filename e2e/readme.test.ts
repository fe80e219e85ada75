import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { describe, expect, inject, it } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { createDatabase, execute } from '../src/server/testing/postgres.ts';
import { lookAway } from './support/attention.ts';
import { call, createAccount } from './support/api.ts';
import { ada, register } from './support/people.ts';
import { build, copyOfTheProject, PROJECT, runPackage } from './support/project.ts';
import { startDevelopment, startProduct } from './support/server.ts';
import { collectTokens, expired } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';

/** Follows the README's section: writes its files, applies its diffs, generates the migration. */
async function followReadme(folder: string): Promise<void> {
  await follow(folder, 'README.md', '## Add your own procedure and page');
  await runPackage(folder, 'drizzle-kit/bin.cjs', 'generate');
}

/** Writes the files of a section and applies its diffs. @param heading as written, such as `## Commands` */
async function follow(folder: string, document: string, heading: string): Promise<void> {
  const text = await readFile(join(PROJECT, document), 'utf8');
  const steps = text.split(`\n${heading}\n`)[1]?.split(/^##/m)[0];
  if (steps === undefined) throw new Error(`${document} has no section ${heading}`);
  for (const [, path = '', content = ''] of steps.matchAll(/```tsx?\n\/\/ (\S+)\n(.*?)```/gs)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  for (const [, change = ''] of steps.matchAll(/```diff\n(.*?)```/gs)) {
    await writeFile(join(folder, 'change.diff'), change);
    await promisify(execFile)('git', ['apply', 'change.diff'], { cwd: folder });
  }
}

async function addNote(page: Page, text: string): Promise<void> {
  await page.getByLabel('Note').fill(text);
  await page.getByRole('button', { name: 'Add' }).click();
}

const notesOn = (page: Page) => page.getByRole('listitem').allTextContents();

describe('the README example', () => {
  it('has procedures and a page that work as printed, even when a token expires', async () => {
    await using project = await copyOfTheProject();
    await followReadme(project.folder);
    await runPackage(project.folder, 'typescript/bin/tsc', '-p', '.');
    await using server = await startDevelopment({
      project: project.folder,
      settings: { ACCESS_TOKEN_EXPIRY: '1s' },
    });
    await using browser = await visitor(server.url);
    // Vite and React log greetings in development.
    browser.expectFault(/^console (debug|info):/);
    // A call may come too late for its token, and leaving a page aborts the refresh that it has begun.
    browser.expectFault(/401.*(auth\.me|notes\.)|auth\.refresh: net::ERR_ABORTED/);
    const tokens = collectTokens(browser.context);
    const page = await browser.tab();
    await register(page, ada);
    await page.goto('/notes');
    await addNote(page, ' ');
    await page.getByText('Write something.').waitFor();
    await lookAway(page);
    for (const text of ['milk', 'bread', 'sugar']) {
      await expired(tokens.at(-1)!);
      await addNote(page, text);
      await page.getByRole('listitem').filter({ hasText: text }).waitFor();
    }
    expect(await notesOn(page)).toEqual(['milk', 'bread', 'sugar']);
  });

  it('has a procedure that requires a recent proof of identity, and notes in the export of their owner', async () => {
    await using project = await copyOfTheProject();
    await followReadme(project.folder);
    await using server = await startDevelopment({ project: project.folder });
    const { accessToken } = await createAccount(server, ada);
    const headers = { authorization: `Bearer ${accessToken}` };
    expect((await call(server, 'notes.add', { input: { text: 'milk' }, headers })).status).toBe(200);
    const exported = await fetch(`${server.url}/trpc/account.export`, { headers });
    expect(await exported.json()).toMatchObject({
      result: { data: { account: { username: ada.username }, features: { notes: [{ text: 'milk' }] } } },
    });
    await server.query('update sessions set authenticated_at = 0');
    const refused = await call(server, 'notes.deleteAll', { headers });
    expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('reauthentication_required')]);
    const { password } = ada;
    expect((await call(server, 'auth.reauthenticate', { input: { password }, headers })).status).toBe(200);
    expect((await call(server, 'notes.deleteAll', { headers })).status).toBe(200);
    const left = await fetch(`${server.url}/trpc/notes.list`, { headers });
    expect(await left.json()).toEqual({ result: { data: [] } });
  });

  it('has a role of its own, given by the script, whose procedure is on the list of who may call it', async () => {
    await using project = await copyOfTheProject();
    const { folder } = project;
    await followReadme(folder);
    await follow(folder, 'README.md', '### Add a role');
    await runPackage(folder, 'typescript/bin/tsc', '-p', '.');
    const listed = ['run', '--project', 'http', 'src/server/procedures.http.test.ts', '-t', 'notes|on the list'];
    await runPackage(folder, 'vitest/vitest.mjs', ...listed);

    await using server = await startDevelopment({ project: folder });
    const { accessToken } = await createAccount(server, ada);
    const headers = { authorization: `Bearer ${accessToken}` };
    expect((await call(server, 'notes.add', { input: { text: 'milk' }, headers })).status).toBe(200);
    const listAll = () => fetch(`${server.url}/trpc/notes.listAll`, { headers });
    const refused = await listAll();
    expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('"forbidden"')]);
    const [, ...script] = manifest.scripts['user:role'].split(' ');
    const inProject = script.map((part) => (part.includes('src/') ? join(folder, part) : part));
    const options = { cwd: server.folder, env: {} };
    await promisify(execFile)(process.execPath, [...inProject, ada.email, 'editor'], options);
    expect(await (await listAll()).json()).toEqual({ result: { data: [{ id: 1, text: 'milk' }] } });
    expect((await fetch(`${server.url}/trpc/admin.people`, { headers })).status).toBe(403);
  });

  it('runs a mutation once when its token is refused, and reports one that fails offline', async () => {
    await using project = await copyOfTheProject();
    await followReadme(project.folder);
    await build(project.folder);
    await using first = await startProduct({ project: project.folder });
    await using browser = await visitor(first.url);
    const page = await browser.tab();
    // Without the event stream, which might notice the refused token before the mutation does.
    await page.route('**/auth.sessionEvents*', (route) => route.abort('connectionrefused'));
    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await register(page, ada);
    await page.goto('/notes');
    await addNote(page, 'milk');
    await page.getByRole('listitem').filter({ hasText: 'milk' }).waitFor();
    await lookAway(page);
    expect(await first.stop()).toBe(0);

    // With a different access secret: the page's token has not expired, but the server no longer accepts it.
    await using second = await startProduct({
      settings: { PORT: String(first.port), JWT_ACCESS_SECRET: 'Zp5Wc8Nq1Lr7Vx4Km0Bt6Hy3Gf9Ds2Ju' },
      folder: first.folder,
      project: project.folder,
    });
    expect(second.url).toBe(first.url);
    browser.expectFault(/401.*notes\.add/);
    const refreshes = browser.calls('auth.refresh');
    const answers: number[] = [];
    page.on('response', (response) => {
      if (response.url().includes('notes.add')) answers.push(response.status());
    });
    await addNote(page, 'bread');
    await page.getByRole('listitem').filter({ hasText: 'bread' }).waitFor();
    expect(answers).toEqual([401, 200]);
    expect(browser.calls('auth.refresh') - refreshes).toBe(1);
    expect(await notesOn(page)).toEqual(['milk', 'bread']);
    await page.reload();
    await page.getByRole('listitem').filter({ hasText: 'bread' }).waitFor();
    expect(await notesOn(page)).toEqual(['milk', 'bread']);

    // Offline it fails visibly, instead of being sent at some later time.
    browser.expectFault(/ERR_INTERNET_DISCONNECTED/);
    await browser.context.setOffline(true);
    await addNote(page, 'sugar');
    await page.getByRole('alert').getByText('We cannot reach the server.').waitFor();
    await browser.context.setOffline(false);
    await page.getByRole('button', { name: 'Add' }).click();
    await page.getByRole('listitem').filter({ hasText: 'sugar' }).waitFor();
    expect(await notesOn(page)).toEqual(['milk', 'bread', 'sugar']);
  });

  it('moves to PostgreSQL as docs/operations.md says, with its rows, and nobody is logged out', async () => {
    await using project = await copyOfTheProject();
    await followReadme(project.folder);
    await build(project.folder);
    await using first = await startProduct({ project: project.folder });
    await using browser = await visitor(first.url);
    const page = await browser.tab();
    await register(page, ada);
    await page.goto('/notes');
    await addNote(page, 'milk');
    await page.getByRole('listitem').filter({ hasText: 'milk' }).waitFor();
    // An open page would ask for the server while there is none.
    await page.goto('about:blank');
    expect(await first.stop()).toBe(0);

    await follow(project.folder, 'docs/operations.md', '### Your own features on PostgreSQL');
    await runPackage(project.folder, 'drizzle-kit/bin.cjs', 'generate', '--config', 'drizzle.config.postgres.ts');
    await runPackage(project.folder, 'typescript/bin/tsc', '-p', '.');
    await using database = await createDatabase(inject('postgresUrl'));
    const [, ...copy] = manifest.scripts['db:copy'].split(' ');
    await promisify(execFile)(
      process.execPath,
      [...copy, '--from', `file:${join(first.folder, 'data/latchkey.db')}`, '--to', database.url],
      { cwd: project.folder, env: {} },
    );

    await using second = await startProduct({
      settings: { PORT: String(first.port), DATABASE_URL: database.url },
      folder: first.folder,
      project: project.folder,
    });
    expect(second.url).toBe(first.url);
    await page.goto('/notes');
    await page.getByRole('listitem').filter({ hasText: 'milk' }).waitFor();
    await addNote(page, 'bread');
    await page.getByRole('listitem').filter({ hasText: 'bread' }).waitFor();
    expect(await execute(database.url, 'select id, text from notes order by id')).toEqual([
      { id: 1, text: 'milk' },
      { id: 2, text: 'bread' },
    ]);
  });
});
