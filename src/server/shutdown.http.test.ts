import Database from 'better-sqlite3';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import type { Grant } from '../shared/auth.ts';
import { execute } from './testing/postgres.ts';
import { install, launchProcess, startProcess, type ServerProcess } from './testing/process.ts';
import { tcpProxy } from './testing/tcp-proxy.ts';
import { testDatabase } from './testing/test-database.ts';
import { openStream } from './testing/two-servers.ts';

interface Place extends AsyncDisposable {
  server: ServerProcess;
  url: string;
  accounts(): Promise<unknown>;
}

const COUNT = 'select count(*) as count from users';

/** A server process on its own database. */
const places: Record<string, () => Promise<Place>> = {
  async SQLite() {
    await using opened = new AsyncDisposableStack();
    const place = opened.use(install());
    const server = opened.use(await startProcess(place));
    const kept = opened.move();
    return {
      server,
      url: server.url ?? server.output(),
      async accounts() {
        const database = new Database(join(place.folder, 'data/latchkey.db'));
        const count = database.prepare(COUNT).pluck().get();
        database.close();
        return count;
      },
      [Symbol.asyncDispose]: () => kept.disposeAsync(),
    };
  },
  async PostgreSQL() {
    await using opened = new AsyncDisposableStack();
    const database = opened.use(await testDatabase());
    const server = opened.use(await startProcess(opened.use(install()), { DATABASE_URL: database.url }));
    const kept = opened.move();
    return {
      server,
      url: server.url ?? server.output(),
      accounts: async () => (await execute(database.url, COUNT))[0]?.count,
      [Symbol.asyncDispose]: () => kept.disposeAsync(),
    };
  },
};

const CLIENTS = 12;
const ACKNOWLEDGED_BEFORE = 20;

/**
 * Registers somebody.
 * @returns undefined where the server has not taken the request; rejects where it has, and does not answer
 */
function register(url: string, name: string, agent?: Agent): Promise<{ status: number; body: string } | undefined> {
  const body = JSON.stringify({
    username: name,
    email: `${name}@example.com`,
    password: `a good password for ${name}`,
  });
  const headers = { 'content-type': 'application/json', 'content-length': body.length, expect: '100-continue' };
  const outgoing = request(`${url}/trpc/auth.register`, { method: 'POST', headers, ...(agent && { agent }) });
  let isTaken = false;
  outgoing.once('continue', () => {
    isTaken = true;
    outgoing.end(body);
  });
  outgoing.flushHeaders();
  return once(outgoing, 'response').then(
    async ([response]) => ({ status: response.statusCode, body: await text(response) }),
    (error: unknown) => {
      if (isTaken) throw error;
      return undefined;
    },
  );
}

describe.each(Object.entries(places))('a server on %s told to stop', (_name, open) => {
  it('under load answers every request that it has taken, and takes no more', async () => {
    await using place = await open();
    const agent = new Agent({ keepAlive: true });
    let acknowledged = 0;
    const live = async (client: number) => {
      for (let round = 0; ; round += 1) {
        const answer = await register(place.url, `p${client}-${round}`, agent);
        if (answer === undefined) return;
        expect(answer).toEqual({ status: 200, body: expect.stringContaining('accessToken') });
        acknowledged += 1;
        if (acknowledged === ACKNOWLEDGED_BEFORE) place.server.signal('SIGTERM');
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, client) => live(client)));
    agent.destroy();
    expect(await place.server.exited).toBe(0);
    expect(acknowledged).toBeGreaterThanOrEqual(ACKNOWLEDGED_BEFORE);
    // What was not answered was not done, either.
    expect(await place.accounts()).toBe(acknowledged);
    expect(place.server.output()).not.toMatch(/"level":(40|50|60)/);
  });

  it('ends its streams with a failure after which the client connects again', async () => {
    await using place = await open();
    const answer = JSON.parse((await register(place.url, 'ada'))?.body ?? '') as { result: { data: Grant } };
    using stream = await openStream(place, answer.result.data.accessToken);
    await stream.until('"ada"');
    place.server.signal('SIGTERM');
    await stream.until('"failure":{"code":"overloaded","retryAfter":5}');
    expect(await place.server.exited).toBe(0);
  });
});

describe('a server whose database does not answer', () => {
  it('stops nonetheless', async () => {
    await using database = await testDatabase();
    const url = new URL(database.url);
    await using proxy = await tcpProxy(Number(url.port));
    url.port = String(proxy.port);
    using place = install();
    await using server = await startProcess(place, { DATABASE_URL: url.href });
    expect((await register(server.url ?? '', 'ada'))?.status).toBe(200);
    proxy.stall();
    const call = register(server.url ?? '', 'grace');
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
    server.signal('SIGTERM');
    expect((await call)?.status).toBe(503);
    expect(await server.exited).toBe(0);
  });
});

describe('a server that is still starting', () => {
  // Regression: without a handler, the first process of a container ignores a signal.
  it.each(['SIGTERM', 'SIGINT'] as const)('stops on %s while another one migrates', async (signal) => {
    await using database = await testDatabase();
    const migrating = new pg.Client(database.url);
    await migrating.connect();
    await using _connection = { [Symbol.asyncDispose]: () => migrating.end() };
    await migrating.query('begin; lock table drizzle.__drizzle_migrations');
    using place = install();
    await using server = launchProcess(place, { DATABASE_URL: database.url });
    const waiting = `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    await expect.poll(() => execute(database.url, waiting)).toEqual([{ count: 1 }]);
    server.signal(signal);
    expect([await server.listening, await server.exited]).toEqual([undefined, 0]);
  });
});
