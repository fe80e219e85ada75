import { describe, expect, it } from 'vitest';
import { install, startProcess } from './testing/process.ts';
import { testDatabase } from './testing/test-database.ts';

/** Beside what Node has built in. Today there are 556. */
const MAX_MODULES = 600;

/** Preloaded into the server: prints the modules that it has loaded when it begins to listen. */
const PRELOAD = `
  import { getCompileCacheDir, registerHooks } from 'node:module';
  import { Server } from 'node:net';
  const loaded = [];
  const insideDrizzle = [];
  registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier.startsWith('.') && context.parentURL?.includes('/drizzle-orm/')) insideDrizzle.push(specifier);
      return nextResolve(specifier, context);
    },
    load(url, context, nextLoad) {
      if (!url.startsWith('node:')) loaded.push(url);
      return nextLoad(url, context);
    },
  });
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...args) {
    process.stdout.write(JSON.stringify({ loaded, insideDrizzle, cache: getCompileCacheDir() }) + '\\n');
    return listen.apply(this, args);
  };
`;

interface Printed {
  loaded: string[];
  insideDrizzle: string[];
  cache: string | undefined;
}

async function start(settings: Record<string, string> = {}): Promise<Printed> {
  using place = install();
  await using server = await startProcess(place, {
    ...settings,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(PRELOAD)}`,
  });
  return JSON.parse(/^\{"loaded".*$/m.exec(server.output())?.[0] ?? '{}') as Printed;
}

describe('a server that begins to listen', () => {
  it('has loaded what every request needs, and nothing else', async () => {
    const { loaded } = await start();
    expect(loaded.length).toBeLessThanOrEqual(MAX_MODULES);
    // If it is so few, they are no longer counted.
    expect(loaded.length).toBeGreaterThan(MAX_MODULES / 2);
    const early =
      /node_modules\/(piscina|@zxcvbn-ts|pino-pretty|vite|pg|pg-pool)\/|\/(node-postgres|pg-core)\/index\.js/;
    expect(loaded.filter((url) => early.test(url))).toEqual([]);
  });

  it('has loaded the driver of the database that it uses, and no other', async () => {
    await using place = await testDatabase();
    const { loaded } = await start({ DATABASE_URL: place.url });
    expect(loaded.filter((url) => /node_modules\/pg\/lib\/index\.js/.test(url))).toHaveLength(1);
    const others = /node_modules\/better-sqlite3\/|\/(better-sqlite3|sqlite-core)\/index\.js/;
    expect(loaded.filter((url) => others.test(url))).toEqual([]);
  });

  it('has had every import inside drizzle-orm answered by the hook, which is asked first', async () => {
    expect((await start()).insideDrizzle).toEqual([]);
  });

  it('keeps compiled code in a folder of its own', async () => {
    expect((await start()).cache).toContain('/node_modules/.cache/latchkey/');
  });
});
