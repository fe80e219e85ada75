import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { testDatabase } from '../src/server/testing/test-database.ts';
import { PROJECT } from './support/project.ts';
import { startProduct } from './support/server.ts';

/** Besides built-in modules. Currently 40, made of 500. */
const MAX_MODULES = 45;

/** Preloaded into the server: prints the modules loaded by the time it listens. */
const PRELOAD = `
  import { registerHooks } from 'node:module';
  import { Server } from 'node:net';
  const loaded = [];
  registerHooks({
    load(url, context, nextLoad) {
      if (!url.startsWith('node:')) loaded.push(url);
      return nextLoad(url, context);
    },
  });
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...args) {
    process.stdout.write(JSON.stringify({ loaded, stack: new Error().stack }) + '\\n');
    return listen.apply(this, args);
  };
`;

interface Start {
  modules: string[];
  /** The modules, and the files that those of the build were made of. */
  sources: string[];
  /** Where `listen` was called. */
  stack: string;
}

async function start(settings: Record<string, string> = {}): Promise<Start> {
  const preload = `--import=data:text/javascript,${encodeURIComponent(PRELOAD)}`;
  await using server = await startProduct({ settings: { ...settings, NODE_OPTIONS: preload } });
  const [line] = await server.outputWith(/^\{"loaded".*$/m);
  const { loaded, stack } = JSON.parse(line) as { loaded: string[]; stack: string };
  const modules = loaded.filter((url) => url.startsWith('file:')).map((url) => fileURLToPath(url));
  const sources = await Promise.all(modules.map(sourcesOf));
  return { modules, sources: sources.flat(), stack };
}

async function sourcesOf(module: string): Promise<string[]> {
  const map = `${module}.map`;
  if (!module.includes('/dist/server/') || !existsSync(map)) return [module];
  return (JSON.parse(await readFile(map, 'utf8')) as { sources: string[] }).sources;
}

describe('the built server, once it listens', () => {
  it('has loaded a few files with what every request needs, and nothing else', async () => {
    const { modules, sources } = await start();
    expect(modules.length).toBeLessThanOrEqual(MAX_MODULES);
    expect(modules.map((path) => basename(path))).toContain('main.js');
    for (const needed of ['src/server/router.ts', '/better-sqlite3/', '/jsonwebtoken/'])
      expect(sources.some((path) => path.includes(needed))).toBe(true);
    const early =
      /node_modules\/(piscina|@zxcvbn-ts|pino-pretty|vite|pg|pg-pool)\/|\/(node-postgres|pg-core)\/session\.js$|\/drizzle-hook\.js$/;
    expect(sources.filter((path) => early.test(path))).toEqual([]);
  });

  it('has loaded only the driver of the database in use', async () => {
    await using database = await testDatabase();
    const { sources } = await start({ DATABASE_URL: database.url });
    expect(sources.filter((path) => /node_modules\/pg\/lib\/index\.js/.test(path))).toHaveLength(1);
    const others = /node_modules\/better-sqlite3\/|\/(better-sqlite3|sqlite-core)\/session\.js$/;
    expect(sources.filter((path) => others.test(path))).toEqual([]);
  });

  it('has loaded what sends mail only where mail is sent, and nothing of the mailbox of development', async () => {
    const mail = /node_modules\/nodemailer\/|\/server\/mail\/(mail|outbox|smtp|templates|mailbox(-pages)?)\.ts/;
    expect((await start()).sources.filter((path) => mail.test(path))).toEqual([]);
    const { sources } = await start({
      MAIL_URL: 'smtp://127.0.0.1',
      MAIL_FROM: 'noreply@example.com',
      APP_URL: 'https://app.example.com',
    });
    expect(sources.some((path) => path.includes('/node_modules/nodemailer/'))).toBe(true);
    expect(sources.filter((path) => path.includes('/mail/mailbox'))).toEqual([]);
  });

  // If this fails, the package is built in another way, and the plugin of vite.server.config.ts to be adapted or deleted.
  it('contains no helper of tRPC that copies objects slowly', async () => {
    expect(await readFile(join(PROJECT, 'dist/server/main.js'), 'utf8')).not.toContain('getOwnPropertyDescriptors');
  });

  it('names the files and lines of its source in stack traces', async () => {
    expect((await start()).stack).toMatch(/src\/server\/main\.ts:\d+:\d+/);
  });
});
