import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { install, startProcess, type Installation } from './testing/process.ts';
import { testDatabase } from './testing/test-database.ts';

/** Besides built-in modules. Currently 601. */
const MAX_MODULES = 650;

const CACHE = 'node_modules/.cache/latchkey';

/** Preloaded into the server: prints the modules loaded by the time it listens. */
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
    process.stdout.write(JSON.stringify({ loaded, insideDrizzle, cache: getCompileCacheDir(), stack: new Error().stack }) + '\\n');
    return listen.apply(this, args);
  };
`;

interface Printed {
  loaded: string[];
  insideDrizzle: string[];
  cache: string | undefined;
  /** Where `listen` was called. */
  stack: string;
}

async function start(place: Installation, settings: Record<string, string> = {}): Promise<Printed> {
  await using server = await startProcess(place, {
    ...settings,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(PRELOAD)}`,
  });
  // What has been compiled is kept when the process exits by itself.
  server.signal('SIGTERM');
  await server.exited;
  return JSON.parse(/^\{"loaded".*$/m.exec(server.output())?.[0] ?? '{}') as Printed;
}

describe('a server that starts listening', () => {
  it('has loaded what every request needs, and nothing else', async () => {
    using place = install();
    const { loaded } = await start(place);
    expect(loaded.length).toBeLessThanOrEqual(MAX_MODULES);
    // Any fewer, and the counting is broken.
    expect(loaded.length).toBeGreaterThan(MAX_MODULES / 2);
    const early =
      /node_modules\/(piscina|@zxcvbn-ts|pino-pretty|vite|pg|pg-pool)\/|\/(node-postgres|pg-core)\/index\.js/;
    expect(loaded.filter((url) => early.test(url))).toEqual([]);
  });

  it('has loaded only the driver of the database in use', async () => {
    await using database = await testDatabase();
    using place = install();
    const { loaded } = await start(place, { DATABASE_URL: database.url });
    expect(loaded.filter((url) => /node_modules\/pg\/lib\/index\.js/.test(url))).toHaveLength(1);
    const others = /node_modules\/better-sqlite3\/|\/(better-sqlite3|sqlite-core)\/index\.js/;
    expect(loaded.filter((url) => others.test(url))).toEqual([]);
  });

  it('has loaded what sends mail only where mail is sent, and nothing of the mailbox of development', async () => {
    using place = install();
    const mail = /node_modules\/nodemailer\/|\/server\/mail\/(mail|outbox|smtp|templates|mailbox(-pages)?)\.ts/;
    expect((await start(place)).loaded.filter((url) => mail.test(url))).toEqual([]);
    const { loaded } = await start(place, {
      MAIL_URL: 'smtp://127.0.0.1',
      MAIL_FROM: 'noreply@example.com',
      APP_URL: 'https://app.example.com',
    });
    expect(loaded.some((url) => url.includes('/node_modules/nodemailer/'))).toBe(true);
    expect(loaded.filter((url) => url.includes('/mail/mailbox'))).toEqual([]);
  });

  it('has resolved every import inside drizzle-orm with the hook, which runs first', async () => {
    using place = install();
    expect((await start(place)).insideDrizzle).toEqual([]);
  });

  it('keeps compiled code in a folder of its own', async () => {
    using place = install();
    expect((await start(place)).cache).toContain(`${place.folder}/${CACHE}/`);
  });

  it('names its own files in stack traces, even if what it compiled has been moved', async () => {
    using built = install();
    await start(built);
    using moved = install();
    cpSync(join(built.folder, CACHE), join(moved.folder, CACHE), { recursive: true });
    expect((await start(moved)).stack).toContain(`${moved.folder}/src/server/main.ts`);
  });
});
