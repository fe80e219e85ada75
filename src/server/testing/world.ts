import type { AddressInfo } from 'node:net';
import pino from 'pino';
import type { Grant } from '../../shared/auth.ts';
import { failureOf, type Failure } from '../../shared/failures.ts';
import { createApp } from '../app.ts';
import { createHttpServer, serve } from '../http/server.ts';
import type { Settings } from '../env.ts';
import { createServices, type Services } from '../services.ts';
import type { SqliteDatabase } from '../db/sqlite.ts';
import { createWorldDatabase } from './databases.ts';
import { testOutbox, type TestOutbox } from './outbox.ts';
import { execute } from './postgres.ts';

/** Production settings, but for the cost of a hash. Durations in milliseconds. */
const testSettings: Omit<Settings, 'database'> = {
  production: true,
  port: 0,
  accessSecrets: ['access secret of the tests, 32 bytes or more'],
  refreshSecrets: ['refresh secret of the tests, 32 bytes or more'],
  accessTokenLifetimeMs: 15 * 60_000,
  refreshTokenLifetimeMs: 7 * 24 * 60 * 60_000,
  sessionMaxAgeMs: 30 * 24 * 60 * 60_000,
  auditRetentionMs: 90 * 24 * 60 * 60_000,
  clientUrl: undefined,
  appUrl: 'https://app.example.com',
  mail: { kind: 'mailbox' },
  registrationRevealsEmail: true,
  trustProxy: 0,
  bcryptCost: 4,
  passwordMinLength: 8,
  logLevel: 'trace',
};

export interface World extends AsyncDisposable {
  /** The origin of the server. */
  url: string;
  /** On SQLite, `db.$client` is its driver, for tests that look into the database or break it, also in an app for PostgreSQL. */
  services: Services & { db: { $client: SqliteDatabase['db']['$client'] } };
  /** Stands still unless advanced. In milliseconds since the epoch. */
  clock: { now: number; advance(ms: number): void };
  /** The lines logged so far. */
  log: string[];
  /** Executes a statement that both databases understand, beside the server. @returns the rows, if it has any */
  sql(statement: string): Promise<Record<string, unknown>[]>;
  client(): TestClient;
  /** The mail that has been delivered. With the mailbox only, which is the default. */
  outbox: TestOutbox;
}

/**
 * Starts the real server on a free port, with an empty database and a clock that the test controls. Use with `await using`.
 * @param lookIntervalMs how often streams look for changes that nobody has notified them of
 */
export async function testWorld(settings: Partial<Settings> = {}, lookIntervalMs = 100): Promise<World> {
  const clock = {
    now: Date.UTC(2030, 0, 1),
    advance(ms: number) {
      this.now += ms;
      services.mail?.outbox.wake();
    },
  };
  const log: string[] = [];
  const database = await createWorldDatabase();
  const all = { ...testSettings, database: database.settings, ...settings };
  const logger = pino({ level: all.logLevel }, { write: (line: string) => void log.push(line) });
  const services = (await createServices(all, logger, () => clock.now, lookIntervalMs)) as World['services'];
  const server = createHttpServer();
  serve(
    server,
    createApp(services, (_req, _res, next) => next()),
  );
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // It looks when mail is written and when the clock moves, so that nothing depends on real time.
  services.mail?.outbox.start(all.appUrl ?? url, 0, 0);
  return {
    url,
    services,
    clock,
    log,
    sql: async (statement) =>
      all.database.kind === 'sqlite' ? executeSqlite(services, statement) : execute(all.database.url, statement),
    outbox: testOutbox(services.mail),
    client: () => testClient(url, `${all.production ? '__Host-' : ''}refreshToken`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
      await services[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

function executeSqlite({ db }: World['services'], source: string): Record<string, unknown>[] {
  const statement = db.$client.prepare<[], Record<string, unknown>>(source);
  if (statement.reader) return statement.all();
  statement.run();
  return [];
}

interface Answer {
  status: number;
  headers: Headers;
  /** Parsed, or the text if it is not JSON. */
  body: unknown;
  /** `result.data` of a successful call. */
  data: unknown;
  failure: Failure | undefined;
  /** The `Set-Cookie` header of the refresh cookie. */
  setCookie: string | undefined;
}

type Init = Omit<RequestInit, 'headers'> & { headers?: Record<string, string> };

export interface TestClient {
  /** The value of the refresh cookie, as the server sets and clears it. A test may assign another one. */
  cookie: string | undefined;
  /** Of the last grant. */
  accessToken: string | undefined;
  query(path: string, init?: Init): Promise<Answer>;
  mutate(path: string, input?: unknown, init?: Init): Promise<Answer>;
  /** Registers a new user, which logs in. */
  register(name?: string): Promise<Grant & { password: string }>;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

let userCount = 0;

/** A client that handles the refresh cookie and the access token as a browser would. */
function testClient(url: string, cookieName: string): TestClient {
  async function send(path: string, init: RequestInit): Promise<Answer> {
    const headers = new Headers(init.headers);
    if (client.cookie !== undefined && !headers.has('cookie')) headers.set('cookie', `${cookieName}=${client.cookie}`);
    if (client.accessToken !== undefined && !headers.has('authorization'))
      headers.set('authorization', `Bearer ${client.accessToken}`);
    const response = await fetch(`${url}/trpc/${path}`, { ...init, headers });
    const text = await response.text();
    const body = parsed(text) as {
      result?: { data?: Partial<Grant> | null };
      error?: unknown;
    };
    const setCookie = response.headers.getSetCookie().find((cookie) => cookie.startsWith(`${cookieName}=`));
    const value = setCookie?.match(new RegExp(`^${cookieName}=([^;]*)`))?.[1];
    if (value !== undefined) client.cookie = value === '' ? undefined : value;
    const data = body.result?.data;
    if (data?.accessToken !== undefined) client.accessToken = data.accessToken;
    return {
      status: response.status,
      headers: response.headers,
      body,
      data,
      failure: failureOf(body.error),
      setCookie,
    };
  }

  const client: TestClient = {
    cookie: undefined,
    accessToken: undefined,
    query: (path, init = {}) => send(path, init),
    mutate: (path, input, init = {}) =>
      send(path, {
        method: 'POST',
        ...(input === undefined ? {} : { body: JSON.stringify(input) }),
        ...init,
        headers: { 'content-type': 'application/json', ...init.headers },
      }),
    async register(name = `user${++userCount}`) {
      const password = `a good password for ${name}`;
      const answer = await client.mutate('auth.register', { username: name, email: `${name}@example.com`, password });
      if (answer.status !== 200) throw new Error(`Registering ${name} answered ${JSON.stringify(answer.body)}`);
      return { ...(answer.data as Grant), password };
    },
  };
  return client;
}
