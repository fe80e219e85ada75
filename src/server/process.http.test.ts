import Database from 'better-sqlite3';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import type { Grant } from '../shared/auth.ts';
import { failureOf, type Failure } from '../shared/failures.ts';
import { install, secrets, startProcess, type Installation, type ServerProcess } from './testing/process.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

interface Answer {
  status: number;
  grant: Grant | null | undefined;
  failure: Failure | undefined;
  cookie: string | undefined;
}

async function post({ url }: ServerProcess, path: string, input: unknown, cookie?: string): Promise<Answer> {
  const response = await fetch(`${url}/trpc/${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(cookie === undefined ? {} : { cookie: `__Host-refreshToken=${cookie}` }),
    },
    body: JSON.stringify(input),
  });
  const body = (await response.json()) as { result?: { data: Grant | null }; error?: unknown };
  return {
    status: response.status,
    grant: body.result?.data,
    failure: failureOf(body.error),
    cookie: /__Host-refreshToken=([^;]+)/.exec(response.headers.getSetCookie().join())?.[1],
  };
}

const account = (name: string) => ({
  username: name,
  email: `${name}@example.com`,
  password: `a good password for ${name}`,
});

/** @returns the result of the SQLite integrity check on the database left behind */
function stateOf({ folder }: Installation): unknown[] {
  const database = new Database(join(folder, 'data/latchkey.db'));
  const state = [database.pragma('integrity_check', { simple: true }), database.pragma('foreign_key_check')];
  database.close();
  return state;
}

describe('a server killed under load', () => {
  /** What the server has confirmed to a person: a login or a logout. */
  interface Confirmed {
    cookie: string;
    leaving: boolean;
    out: boolean;
  }

  it('keeps everything it confirmed', async () => {
    using place = install();
    for (const lives of [5, 20]) {
      const server = await startProcess(place);
      const people: Confirmed[] = [];
      let confirmed = 0;
      const confirm = () => {
        confirmed += 1;
        if (confirmed === lives) server.signal('SIGKILL');
      };
      const live = async (number: number) => {
        for (let round = 0; ; round += 1) {
          const registered = await post(server, 'auth.register', account(`p${lives}-${number}-${round}`), undefined);
          const person: Confirmed = { cookie: registered.cookie ?? '', leaving: false, out: false };
          people.push(person);
          confirm();
          const refreshed = await post(server, 'auth.refresh', {}, person.cookie);
          person.cookie = refreshed.cookie ?? person.cookie;
          confirm();
          if (round % 2 === number % 2) continue;
          person.leaving = true;
          person.out = (await post(server, 'auth.logout', {}, person.cookie)).status === 200;
          confirm();
        }
      };
      // They continue until the server stops responding.
      await Promise.all(Array.from({ length: 4 }, (_, number) => live(number).catch(() => undefined)));
      expect(await server.exited).toBeNull();
      expect(confirmed).toBeGreaterThanOrEqual(lives);

      await using again = await startProcess(place);
      for (const { cookie, leaving, out } of people) {
        const { status, failure } = await post(again, 'auth.refresh', {}, cookie);
        const isOut = JSON.stringify(failure) === '{"code":"session_ended","reason":"revoked"}';
        // A logout without a response may or may not have happened.
        expect([status, isOut]).toEqual(out || (leaving && isOut) ? [401, true] : [200, false]);
      }
      again.signal('SIGTERM');
      await again.exited;
      expect(stateOf(place)).toEqual(['ok', []]);
    }
  });
});

describe('several servers on one database', () => {
  it('can start concurrently without a database', async () => {
    using place = install();
    const servers = await Promise.all(Array.from({ length: 5 }, () => startProcess(place)));
    try {
      expect(servers.map(({ url, output }) => url ?? output())).toEqual(servers.map(({ url }) => url));
      const [first, ...others] = servers as [ServerProcess, ...ServerProcess[]];
      const { email, password } = account('ada');
      expect((await post(first, 'auth.register', account('ada'))).status).toBe(200);
      for (const other of others) expect((await post(other, 'auth.login', { email, password })).status).toBe(200);
    } finally {
      for (const server of servers) await server[Symbol.asyncDispose]();
    }
  });

  it('behave as one', async () => {
    using place = install();
    await using one = await startProcess(place);
    await using two = await startProcess(place);
    const either = (index: number) => (index % 2 === 0 ? one : two);

    const registered = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        post(either(index), 'auth.register', { ...account('ada'), username: `ada-${index}` }),
      ),
    );
    expect(registered.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200,
      ...Array<number>(7).fill(409),
    ]);

    const { cookie } = registered.find(({ status }) => status === 200) as Answer;
    const refreshed = await Promise.all(
      Array.from({ length: 30 }, (_, index) => post(either(index), 'auth.refresh', {}, cookie)),
    );
    expect(new Set(refreshed.map(({ status, grant }) => `${status} ${grant?.session.generation}`))).toEqual(
      new Set(['200 2']),
    );

    expect((await post(one, 'auth.logout', {}, cookie)).status).toBe(200);
    expect((await post(two, 'auth.refresh', {}, refreshed[0]?.cookie)).failure).toEqual({
      code: 'session_ended',
      reason: 'revoked',
    });

    const wrong = { email: 'nobody@example.com', password: 'wrong' };
    const guesses = await Promise.all(
      Array.from({ length: 60 }, (_, index) => post(either(index), 'auth.login', wrong)),
    );
    const tried = guesses.filter(({ failure }) => failure?.code === 'invalid_credentials');
    expect(tried).toHaveLength(11);
    expect(guesses.filter(({ failure }) => failure?.code === 'rate_limited')).toHaveLength(49);
  });
});

describe('a server that is stopping', () => {
  it('answers the requests in flight and leaves the database intact', async () => {
    using place = install();
    await using server = await startProcess(place);
    const sockets = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const body = JSON.stringify(account(`person-${index}`));
        const socket = connect(Number(new URL(server.url ?? '').port), '127.0.0.1');
        const answered = once(socket, 'data') as Promise<[Buffer]>;
        socket.write(
          `POST /trpc/auth.register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
        );
        // The server's confirmation that the request is in flight.
        expect(String(await answered)).toContain('100 Continue');
        return { socket, body };
      }),
    );
    const answers = sockets.map(({ socket, body }) => {
      const answer = once(socket, 'data').then(([data]) => String(data).split('\r\n', 1)[0]);
      socket.write(body);
      return answer;
    });
    server.signal('SIGTERM');
    expect(await Promise.all(answers)).toEqual(answers.map(() => 'HTTP/1.1 200 OK'));
    for (const { socket } of sockets) socket.destroy();
    expect(await server.exited).toBe(0);
    expect(stateOf(place)).toEqual(['ok', []]);
  });

  // Regression: such connections, which browsers open in advance, delayed shutdown until the timeout.
  it('does not wait for connections without a request', async () => {
    using place = install();
    await using server = await startProcess(place);
    const idle: Socket = connect(Number(new URL(server.url ?? '').port), '127.0.0.1');
    await once(idle, 'connect');
    // Its answer implies that the connection has been accepted.
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    server.signal('SIGTERM');
    const code = await server.exited;
    idle.destroy();
    expect(code).toBe(0);
  });
});

describe('an unread log', () => {
  // Regression: a full pipe kept the process alive past its shutdown timeout.
  it('neither blocks the server nor keeps it from exiting', async () => {
    using place = install();
    await using server = await startProcess(place);
    server.stopReading();
    // Far more than a pipe and its reader buffer.
    for (let request = 0; request < 3_000; request += 1)
      expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    server.signal('SIGTERM');
    expect(await server.exited).toBe(0);
  });
});

describe('a failed start', () => {
  it.each<[string, Record<string, string>]>([
    ['JWT_ACCESS_SECRET', { JWT_ACCESS_SECRET: 'hunter2-hunter2' }],
    ['JWT_REFRESH_SECRET', { JWT_REFRESH_SECRET: secrets.JWT_ACCESS_SECRET }],
    ['TRUST_PROXY', { TRUST_PROXY: 'true' }],
    ['CLIENT_URL', { CLIENT_URL: 'http://app.hunter2.example' }],
  ])('for %s exits with 1, naming the setting but not its value', async (name, settings) => {
    using place = install();
    await using server = await startProcess(place, settings);
    expect([server.url, await server.exited]).toEqual([undefined, 1]);
    expect(server.output().match(/^ {2}[A-Z_]+/gm)).toEqual([`  ${name}`]);
    for (const value of ['hunter2', ...Object.values(secrets)]) expect(server.output()).not.toContain(value);
  });

  it.each<[string, (file: string) => void]>([
    ['text', (file) => writeFileSync(file, 'This is not a database. '.repeat(1_000))],
    ['a folder', (file) => mkdirSync(file)],
  ])('for a database that is %s exits with 1, naming the file', async (_, prepare) => {
    using place = install();
    mkdirSync(join(place.folder, 'data'));
    prepare(join(place.folder, 'data/latchkey.db'));
    await using server = await startProcess(place);
    expect([server.url, await server.exited]).toEqual([undefined, 1]);
    expect(server.output()).toContain('data/latchkey.db');
  });
});

describe('starting', () => {
  it('purges expired rows immediately, without waiting for the interval', async () => {
    using place = install();
    const first = await startProcess(place);
    first.signal('SIGTERM');
    await first.exited;
    const database = new Database(join(place.folder, 'data/latchkey.db'));
    const events = () => database.prepare('select type from audit_events').pluck().all();
    database.prepare("insert into audit_events (at, type) values (0, 'signed_in'), (?, 'ended')").run(Date.now());
    await using second = await startProcess(place);
    expect(second.url).toBeDefined();
    await expect.poll(events).toEqual(['ended']);
    database.close();
  });

  it('prints no warning, even without an npm script', async () => {
    using place = install();
    await using server = await startProcess(place);
    server.signal('SIGTERM');
    expect(await server.exited).toBe(0);
    expect(server.output()).not.toMatch(/warning/i);
  });

  it.each([
    ['once that what needs mail is off, where it is', {}, 1],
    [
      'nothing of the kind where mail is sent',
      { MAIL_URL: 'smtp://127.0.0.1', MAIL_FROM: 'noreply@example.com', APP_URL: 'https://app.example.com' },
      0,
    ],
  ])('says %s, and shows no mail to anybody', async (_what, settings, times) => {
    using place = install();
    await using server = await startProcess(place, settings);
    expect((await post(server, 'auth.register', account('ada'))).status).toBe(200);
    // What any other path of the app is answered with.
    const pages = ['/dev/mail', '/dev/mail/1', '/login'].map(async (path) => (await fetch(server.url + path)).text());
    expect(new Set(await Promise.all(pages))).toEqual(new Set(['<!doctype html><title>page</title>']));
    server.signal('SIGTERM');
    expect(await server.exited).toBe(0);
    const lines = server.output().split('\n');
    const notices = lines.filter((line) => line.includes('MAIL_URL is not set'));
    expect(notices).toHaveLength(times);
    for (const line of notices) expect(JSON.parse(line)).toMatchObject({ level: 30 });
  });

  it('explains itself on an older Node before loading anything else', async () => {
    const older = "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '23.11.1' } })";
    for (const script of [manifest.scripts.start, manifest.scripts.dev]) {
      const entry = script.split(' ').find((word) => word.startsWith('src/')) ?? '';
      const args = ['--import', `data:text/javascript,${older}`, join(PROJECT, entry)];
      const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
        execFile(process.execPath, args, (error, _stdout, text) => resolve({ code: error?.code, stderr: text }));
      });
      expect(code).toBe(1);
      expect(stderr).toMatch(/^Latchkey requires Node 24 or later, but this is v[^\n]+\n$/);
    }
  });
});
