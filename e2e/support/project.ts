import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PARTS = [
  'src',
  'drizzle',
  'package.json',
  'tsconfig.json',
  'vite.config.ts',
  'vite.server.config.ts',
  'drizzle.config.ts',
  'drizzle.config.postgres.ts',
];

export interface ProjectCopy extends AsyncDisposable {
  folder: string;
  /** @throws Error if the file does not contain `from` */
  edit(path: string, from: string, to: string): Promise<void>;
}

export async function copyOfTheProject(): Promise<ProjectCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-copy-'));
  for (const part of PARTS) await cp(join(PROJECT, part), join(folder, part), { recursive: true });
  // Not as a whole: what tools keep in it, such as the dependencies that Vite has optimized, fits one project only.
  await mkdir(join(folder, 'node_modules'));
  for (const name of await readdir(join(PROJECT, 'node_modules')))
    if (name !== '.vite' && name !== '.cache')
      await symlink(join(PROJECT, 'node_modules', name), join(folder, 'node_modules', name));
  return {
    folder,
    async edit(path, from, to) {
      const before = await readFile(join(folder, path), 'utf8');
      if (!before.includes(from)) throw new Error(`${path} does not contain ${from}`);
      await writeFile(join(folder, path), before.replace(from, to));
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The environment is empty, because NODE_ENV from Vitest would change the build. @param file below node_modules */
export async function runPackage(folder: string, file: string, ...args: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [join(folder, 'node_modules', file), ...args], { cwd: folder, env: {} });
}

/** As `npm run build` does. */
export async function build(folder: string): Promise<void> {
  for (const config of ['vite.config.ts', 'vite.server.config.ts'])
    await runPackage(folder, 'vite/bin/vite.js', 'build', '--config', config, '--logLevel', 'error');
}
