import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ada, register } from './support/people.ts';
import { startDevelopment } from './support/server.ts';
import { visitor } from './support/visitor.ts';

const run = promisify(execFile);
const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const PARTS = ['src', 'drizzle', 'package.json', 'tsconfig.json', 'vite.config.ts'];

/** A copy of the project to develop in. */
async function clone() {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-clone-'));
  for (const part of PARTS) await cp(join(PROJECT, part), join(folder, part), { recursive: true });
  await symlink(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

/** Does what the README's section says: writes its files, applies its changes. */
async function followReadme(folder: string): Promise<void> {
  const readme = await readFile(join(PROJECT, 'README.md'), 'utf8');
  const section = /## Add your own procedure and page\n(.*?)\n## /s.exec(readme)?.[1] ?? '';
  for (const [, path = '', content = ''] of section.matchAll(/```tsx?\n\/\/ (\S+)\n(.*?)```/gs)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  for (const [, change = ''] of section.matchAll(/```diff\n(.*?)```/gs)) {
    await writeFile(join(folder, 'change.diff'), change);
    await run('git', ['apply', 'change.diff'], { cwd: folder });
  }
}

test('the procedure and the page of the README work as they stand there', async () => {
  await using project = await clone();
  await followReadme(project.folder);
  await run(process.execPath, [join(PROJECT, 'node_modules/typescript/bin/tsc'), '-p', '.'], { cwd: project.folder });
  await using server = await startDevelopment({ project: project.folder });
  await using browser = await visitor(server.url);
  // Vite and React say hello in development.
  browser.expectFault(/^console (debug|info):/);
  const page = await browser.tab();
  await register(page, ada);
  await page.goto('/greeting');
  await page.getByText(`Good morning, ${ada.username}!`).waitFor();
  expect(browser.calls('greeting.hello')).toBe(1);
});
