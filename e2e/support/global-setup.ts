import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { unpackChromium } from './chromium.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const VITE = fileURLToPath(new URL('../../node_modules/vite/bin/vite.js', import.meta.url));

/** Once per run, before the stories: the product as `npm run build` makes it, and a browser. */
export default async function setup(): Promise<void> {
  // In a process of its own, with an empty environment: Vitest's NODE_ENV would make it a build for tests.
  const build = promisify(execFile)(process.execPath, [VITE, 'build', '--logLevel', 'error'], {
    cwd: PROJECT,
    env: {},
  });
  await Promise.all([build, unpackChromium()]);
}
