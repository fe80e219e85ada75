import Database from 'better-sqlite3';
import { closeSync, existsSync, mkdtempSync, openSync, renameSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { install, startProcess } from './testing/process.ts';
import { testWorld } from './testing/world.ts';

const OVERLOADED = { code: 'overloaded', retryAfter: 1 };

/** A server in this process, on a database in a file. */
async function worldOnFile() {
  await using opened = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-faults-'));
  opened.defer(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'app.db');
  const world = opened.use(await testWorld({ database: { kind: 'sqlite', path } }));
  const { $client } = world.services.db;
  const kept = opened.move();
  return {
    ...world,
    path,
    client: world.client,
    sqlite: $client,
    ready: async () => (await fetch(`${world.url}/readyz`)).status,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

describe('a full disk', () => {
  it('refuses what needs space, keeps what it has confirmed, and goes on once there is space', async () => {
    await using world = await worldOnFile();
    const { sqlite } = world;
    const first = world.client();
    await first.register('first');
    const capacity = Number(sqlite.pragma('page_count', { simple: true }));
    sqlite.pragma(`max_page_count = ${capacity}`);
    const register = (number: number) =>
      world.client().mutate('auth.register', {
        username: `person-${number}`,
        email: `person-${number}@example.com`,
        password: `a good password for ${number}`,
      });
    let number = 0;
    let refused;
    do refused = await register(++number);
    while (refused.status === 200);
    expect(refused).toMatchObject({ status: 503, failure: OVERLOADED, setCookie: undefined });
    // Whoever is logged in stays so, and can log out.
    world.clock.advance(120_000);
    expect(await first.mutate('auth.refresh')).toMatchObject({ status: 200 });
    expect(await first.query('auth.me')).toMatchObject({ status: 200 });
    expect(sqlite.prepare('select count(*) from users').pluck().get()).toBe(number);

    sqlite.pragma(`max_page_count = ${2 * capacity}`);
    expect(await register(number)).toMatchObject({ status: 200 });
    expect(await first.mutate('auth.logout')).toMatchObject({ status: 200 });
    expect(sqlite.pragma('integrity_check', { simple: true })).toBe('ok');
  });
});

describe('a database file that disappears under a running server', () => {
  it.each(['removed', 'replaced'])(
    '%s, confirms nothing that would be lost, and goes on once it is back',
    async (how) => {
      await using world = await worldOnFile();
      const client = world.client();
      const { user, password } = await client.register('ada');
      renameSync(world.path, `${world.path}-kept`);
      if (how === 'replaced') new Database(world.path).exec('create table other (id)').close();
      expect(await world.ready()).toBe(503);
      const credentials = { email: user.email, password };
      for (const [path, input] of [
        ['auth.register', { username: 'grace', email: 'grace@example.com', password: 'a bug taped into the log' }],
        ['auth.login', credentials],
        ['auth.logout', undefined],
      ] as const) {
        const answer = await world.client().mutate(path, input, {
          headers: { authorization: `Bearer ${client.accessToken}` },
        });
        expect([path, answer.status, answer.failure]).toEqual([path, 503, OVERLOADED]);
      }
      renameSync(`${world.path}-kept`, world.path);
      expect(await world.ready()).toBe(200);
      expect(await client.mutate('auth.refresh')).toMatchObject({ status: 200 });
      expect(await world.client().mutate('auth.login', credentials)).toMatchObject({ status: 200 });
      expect(await client.mutate('auth.logout')).toMatchObject({ status: 200 });
    },
  );
});

describe('a database file that is damaged under a running server', () => {
  it('makes it answer that it is not ready, rather than crash or sign anyone out', async () => {
    await using world = await worldOnFile();
    const client = world.client();
    await client.register('ada');
    world.sqlite.pragma('wal_checkpoint(TRUNCATE)');
    const pageSize = Number(world.sqlite.pragma('page_size', { simple: true }));
    const pages = Number(world.sqlite.pragma('page_count', { simple: true }));
    const file = openSync(world.path, 'r+');
    // All but the first page, with the schema.
    writeSync(file, Buffer.alloc((pages - 1) * pageSize, 0xa5), 0, undefined, pageSize);
    closeSync(file);
    // Pages that SQLite has cached would hide the damage.
    world.sqlite.pragma('shrink_memory');
    for (const path of ['auth.refresh', 'auth.logout', 'auth.login'])
      expect(await client.mutate(path, { email: 'ada@example.com', password: 'x' })).toMatchObject({
        status: 503,
        failure: OVERLOADED,
        setCookie: undefined,
      });
    expect(await client.query('auth.me')).toMatchObject({ status: 503, failure: OVERLOADED });
    expect(await world.ready()).toBe(503);
    expect((await fetch(`${world.url}/healthz`)).status).toBe(200);
  });
});

describe('a start without the database that was there before', () => {
  it.each<[string, NodeJS.Signals, (file: string) => void]>([
    ['removed', 'SIGTERM', (file) => rmSync(file)],
    ['removed, after a crash', 'SIGKILL', (file) => rmSync(file)],
    ['emptied', 'SIGTERM', (file) => truncateSync(file)],
  ])('(%s) is refused, and changes nothing', async (_how, signal, lose) => {
    using place = install();
    const file = join(place.folder, 'data/latchkey.db');
    await using first = await startProcess(place);
    expect(first.output()).toContain('Creating database at');
    first.signal(signal);
    await first.exited;
    lose(file);
    const existed = existsSync(file);

    await using second = await startProcess(place);
    expect(second.url).toBeUndefined();
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain(
      `Cannot open the database ./data/latchkey.db: it was here before, and is gone. Restore a backup, or delete ./data/latchkey.db-migrating to start with an empty one`,
    );
    expect(second.output()).not.toContain('    at ');
    expect(existsSync(file)).toBe(existed);

    rmSync(`${file}-migrating`);
    await using third = await startProcess(place);
    expect(third.url).toBeDefined();
  });
});

describe('a stream', () => {
  it('ends as overloaded when the database is gone', async () => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register();
    // Without the client of tRPC, which would not report this failure but reconnect.
    const { body } = await fetch(`${world.url}/trpc/auth.sessionEvents`, {
      headers: { accept: 'text/event-stream', authorization: `Bearer ${accessToken}` },
    });
    let text = '';
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes('"user"')) world.services.db.$client.close();
    }
    expect(text).toContain('"failure":{"code":"overloaded","retryAfter":1}');
  });
});
