import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const HOOK = new URL('./drizzle-hook.js', import.meta.url).href;
/** Keeps V8 from collecting garbage meanwhile, so that the heap shows everything that was allocated. */
const NO_GARBAGE_COLLECTION = ['--initial-heap-size=2000', '--min-semi-space-size=256', '--max-semi-space-size=256'];

/** @returns bytes that importing drizzle-orm in a new process allocates, and the files that it loads */
async function importDrizzle(preload: string[]): Promise<{ bytes: number; files: string[] }> {
  const script = `
    import { registerHooks } from 'node:module';
    const files = [];
    registerHooks({
      load(url, context, nextLoad) {
        files.push(url);
        return nextLoad(url, context);
      },
    });
    const before = process.memoryUsage().heapUsed;
    await import('drizzle-orm/better-sqlite3');
    const bytes = process.memoryUsage().heapUsed - before;
    process.stdout.write(JSON.stringify({ bytes, files: files.toSorted() }));
  `;
  const args = [...NO_GARBAGE_COLLECTION, ...preload, '--input-type=module', '--eval', script];
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd });
  return JSON.parse(stdout) as { bytes: number; files: string[] };
}

describe('the hook for imports inside drizzle-orm', () => {
  // If this fails although the hook works, Node has become as good without it: delete the hook.
  it('saves most of the memory, and loads the same files', async () => {
    const [plain, hooked] = await Promise.all([importDrizzle([]), importDrizzle(['--import', HOOK])]);
    expect(hooked.files.length).toBeGreaterThan(50);
    expect(hooked.files).toEqual(plain.files);
    expect(plain.bytes / hooked.bytes).toBeGreaterThan(4);
  });
});
