import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium, type Browser, type LaunchOptions } from 'playwright-core';
import manifest from '../../package.json' with { type: 'json' };

const UNPACK = fileURLToPath(new URL('unpack-chromium.ts', import.meta.url));
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/latchkey', import.meta.url));
const FOLDER = join(CACHE, `chromium-${manifest.devDependencies['@sparticuz/chromium']}`);

/** Elsewhere the tests use the installed Chrome. */
const PACKAGED = process.platform === 'linux' && process.arch === 'x64';

/** Not into /tmp, the default: there the package takes any file of that name for the browser, however incomplete. */
export async function unpackChromium(): Promise<void> {
  if (!PACKAGED || existsSync(FOLDER)) return;
  await mkdir(CACHE, { recursive: true });
  const draft = await mkdtemp(join(CACHE, 'unpacking-'));
  try {
    await promisify(execFile)(process.execPath, [UNPACK], {
      // Makes it unpack the libraries (NSS, expat) that a bare Debian lacks.
      env: { TMPDIR: draft, AWS_LAMBDA_JS_RUNTIME: 'nodejs24.x' },
    });
    await writeFile(
      join(draft, 'fonts/fonts.conf'),
      `<?xml version="1.0"?><fontconfig><dir>${join(FOLDER, 'fonts')}</dir><cachedir>${join(FOLDER, 'font-cache')}</cachedir></fontconfig>\n`,
    );
    // Atomic, so that no other run sees half a browser.
    await rename(draft, FOLDER).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

export function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  if (!PACKAGED) return chromium.launch({ channel: 'chrome', ...options });
  return chromium.launch({
    executablePath: join(FOLDER, 'chromium'),
    env: {
      HOME: FOLDER,
      FONTCONFIG_PATH: join(FOLDER, 'fonts'),
      LD_LIBRARY_PATH: join(FOLDER, 'al2023/lib'),
    },
    ...options,
    args: [
      // Only local names resolve: tests must not depend on, or contact, other machines.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1',
      '--disable-gpu',
      ...(options.args ?? []),
    ],
  });
}
