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

/** Whether npm brought a browser that runs here. Elsewhere it is the Chrome that a developer has. */
const PACKAGED = process.platform === 'linux' && process.arch === 'x64';

/**
 * Unpacks the Chromium that npm brought, once per version.
 *
 * Into a folder of our own and not into the package's choice, /tmp: that takes whatever lies there under the same name for
 * the browser, half unpacked by another run or left by another version.
 */
export async function unpackChromium(): Promise<void> {
  if (!PACKAGED || existsSync(FOLDER)) return;
  await mkdir(CACHE, { recursive: true });
  const draft = await mkdtemp(join(CACHE, 'unpacking-'));
  try {
    await promisify(execFile)(process.execPath, [UNPACK], {
      // The second makes it unpack the few libraries (NSS, expat) that a bare Debian does not have.
      env: { TMPDIR: draft, AWS_LAMBDA_JS_RUNTIME: 'nodejs24.x' },
    });
    // Its own names /tmp.
    await writeFile(
      join(draft, 'fonts/fonts.conf'),
      `<?xml version="1.0"?><fontconfig><dir>${join(FOLDER, 'fonts')}</dir><cachedir>${join(FOLDER, 'font-cache')}</cachedir></fontconfig>\n`,
    );
    // At once, so that nobody ever finds half a browser.
    await rename(draft, FOLDER).catch((error: NodeJS.ErrnoException) => {
      // Another run was faster.
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
      // No name resolves but those of this machine: nothing here may depend on, or talk to, another one.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1',
      '--disable-gpu',
      ...(options.args ?? []),
    ],
  });
}
