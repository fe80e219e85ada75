import { openPostgres } from '../../../db/postgres.ts';
import { openSqlite, type SqliteDatabase } from '../../../db/sqlite.ts';
import { reuseIntervalFor, type Policy } from '../rotation.ts';
import { createSessions, type Sessions } from '../sessions.ts';
import { postgresStore } from '../../store/postgres/auth-store.ts';
import { sqliteStore } from '../../store/sqlite/auth-store.ts';
import type { Account, AuthStore } from '../../store/auth-store.ts';
import { createTokens } from '../tokens.ts';

/*
 * The simulated world of rotation.model.test.ts: real tokens, rules and store, but a clock, a network, a browser and a power
 * supply of our own.
 */

const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
const START = Date.UTC(2030, 0, 1);

/** Short enough for a short history to reach expiry, long enough for the full reuse interval. */
const lifetimes = { refreshTokenLifetimeMs: HOUR, sessionMaxAgeMs: 3 * HOUR };
export const policy: Policy = { ...lifetimes, reuseIntervalMs: reuseIntervalFor(lifetimes.refreshTokenLifetimeMs) };
const accessTokenLifetimeMs = 15 * MINUTE;

/** The most that the clocks of two servers differ. */
const CLOCK_SKEW_MS = 10 * SECOND;
/** The longest that an honest request takes from reading the cookie to storing the answer. */
const HONEST_REQUEST_MS = 25 * SECOND;

const account: Account = {
  id: 'anna',
  username: 'anna',
  email: 'anna@example.com',
  emailVerifiedAt: null,
  passwordHash: '',
  passwordChangedAt: START,
  role: 'user',
  disabledAt: null,
  createdAt: START,
};
const secrets = {
  accessSecrets: ['access secret of the model, 32 bytes or more'],
  refreshSecrets: ['refresh secret of the model, 32 bytes or more'],
};

interface Claims {
  sid: string;
  gen: number;
  /** Milliseconds since the epoch. */
  exp: number;
  /** When the refresh token, or the one that the access token came with, was issued. In seconds. */
  refreshIssuedAt: number;
}

const unlimited = async () => undefined;

/** Reads a token without verifying it. */
export function claimsOf(token: string): Claims {
  const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  const { sid, gen, exp, iat, gat } = JSON.parse(payload) as Omit<Claims, 'refreshIssuedAt'> & {
    iat: number;
    gat?: number;
  };
  return { sid, gen, exp: Math.round(exp * 1000), refreshIssuedAt: gat ?? iat };
}

/** A database that can suffer a power cut, which may undo what was written without fsync. */
function withPowerCuts(database: SqliteDatabase) {
  const client = database.db.$client;
  const changes = client.prepare('select total_changes()').pluck();
  const rows = client.prepare('select * from sessions');
  /** The rows as they were before each write that a power cut may undo, oldest first. */
  let undoable: unknown[][] = [];
  let unsynced = 0;
  const counted = () => changes.get() as number;

  function restore(before: unknown[]): void {
    client.exec('delete from sessions');
    for (const row of before as Record<string, unknown>[]) {
      const columns = Object.keys(row);
      const values = columns.map((column) => `@${column}`);
      client.prepare(`insert into sessions (${columns.join()}) values (${values.join()})`).run(row);
    }
  }

  const store = sqliteStore({
    ...database,
    withoutFsync<Result>(run: () => Result): Result {
      const rowsBefore = rows.all();
      const before = counted();
      try {
        return database.withoutFsync(run);
      } finally {
        if (counted() > before) undoable.push(rowsBefore);
        unsynced += counted() - before;
      }
    },
  });

  return {
    store: new Proxy(store, {
      get: (target, name: keyof typeof store) =>
        async function verb(...args: never[]) {
          const before = counted();
          unsynced = 0;
          try {
            return await (target[name] as (...args: never[]) => Promise<unknown>)(...args);
          } finally {
            // A sync includes everything before it: there is one log, and it is synced up to its end.
            if (counted() - before > unsynced) undoable = [];
          }
        },
    }),

    /** Undoes up to `back` of the last writes that were not synced. */
    cut(back: number): void {
      const lost = undoable.splice(Math.max(0, undoable.length - back));
      if (lost[0] !== undefined) restore(lost[0]);
    },

    clear(): void {
      client.exec('delete from sessions');
      undoable = [];
    },
  };
}

/** A database with one account, which one world after another uses. */
export interface ModelDatabase {
  /** One for each server. */
  stores: AuthStore[];
  /** A power cut: undoes up to `back` of the last writes that were not synced. */
  cut(back: number): void;
  /** Deletes the sessions. */
  clear(): Promise<void>;
  /** Everything in it. */
  serialize(): Promise<Buffer>;
  countSessions(): Promise<number>;
  generationOf(sid: string): Promise<number | undefined>;
  close(): Promise<void>;
}

export async function openModelDatabase(paths: readonly [string, ...string[]]): Promise<ModelDatabase> {
  const databases = paths.map((path) => {
    const opened = openSqlite(path);
    return { opened, ...withPowerCuts(opened) };
  });
  const stores = databases.map(({ store }) => store);
  await stores[0]!.createAccount(account);
  const generation = databases[0]!.opened.db.$client.prepare('select generation from sessions where id = ?').pluck();
  return {
    stores,
    cut: (back: number) => databases[0]!.cut(back),
    clear: async () => databases[0]!.clear(),
    serialize: async () => databases[0]!.opened.db.$client.serialize(),
    countSessions: async () =>
      databases[0]!.opened.db.$client.prepare('select count(*) from sessions').pluck().get() as number,
    generationOf: async (sid) => generation.get(sid) as number | undefined,
    async close() {
      for (const { opened } of databases) opened.close();
    },
  };
}

/** Two servers on PostgreSQL, which loses nothing in a power cut. */
export async function openModelPostgres(url: string): Promise<ModelDatabase> {
  const databases = [await openPostgres(url), await openPostgres(url)];
  const stores = databases.map((database) => postgresStore(database));
  await stores[0]!.createAccount(account);
  const { $client: pool } = databases[0]!.db;
  return {
    stores,
    cut() {},
    clear: async () => void (await pool.query('delete from sessions')),
    async serialize() {
      const { rows } = await pool.query('select * from users left join sessions on user_id = users.id');
      return Buffer.from(JSON.stringify(rows));
    },
    countSessions: async () => (await pool.query('select id from sessions')).rows.length,
    async generationOf(sid) {
      const { rows } = await pool.query<{ generation: number }>('select generation from sessions where id = $1', [sid]);
      return rows[0]?.generation;
    },
    async close() {
      for (const { close } of databases) await close();
    },
  };
}

/** The result of an exchange with a server. */
export type Outcome =
  | { kind: 'good'; access?: string; cookie?: string; generation?: number }
  | { kind: 'failed'; why: string };

export interface Circumstances {
  /** How far each server's clock is ahead. In milliseconds. */
  skews?: readonly [number, number];
  /** Milliseconds. */
  reuseIntervalMs?: number;
}

/** Two servers on one database, with a simulated clock. */
async function createWorld(
  db: ModelDatabase,
  { skews = [0, 0], reuseIntervalMs = policy.reuseIntervalMs }: Circumstances,
) {
  await db.clear();
  const time = { now: START };
  const tokens = createTokens({ ...secrets, accessTokenLifetimeMs });
  const clocks = skews.map((skew) => () => time.now + skew);
  const servers: Sessions[] = clocks.map((clock, i) =>
    createSessions({
      store: db.stores[i % db.stores.length]!,
      tokens,
      policy: { ...policy, reuseIntervalMs },
      accessTokenLifetimeMs,
      clock,
    }),
  );
  const issued = { refresh: [] as string[], access: [] as string[] };
  /** In the order of their start: ids are random, and histories are compared. */
  const sessions: string[] = [];
  const started = new Map<string, number>();
  const ended = new Set<string>();
  const story: string[] = [];

  function log(line: string): void {
    story.push(`${((time.now - START) / SECOND).toFixed(3)} s: ${line}`);
  }

  function fail(rule: string): never {
    throw new Error([rule, ...story].join('\n'));
  }

  /** @param sid of the session that the request used */
  function record(what: string, server: number, outcome: Outcome, sid?: string): Outcome {
    if (outcome.kind === 'good') {
      if (sid !== undefined && time.now - started.get(sid)! >= policy.sessionMaxAgeMs + CLOCK_SKEW_MS)
        fail('A session outlived its maximum age.');
      if (outcome.access !== undefined) issued.access.push(outcome.access);
      if (outcome.cookie !== undefined) issued.refresh.push(outcome.cookie);
    }
    const result =
      outcome.kind === 'failed'
        ? outcome.why
        : `good ${outcome.generation ?? ''}${outcome.cookie === undefined ? '' : ' with cookie'}`;
    log(`server ${server}: ${what} -> ${result}`);
    return outcome;
  }

  function describe(token: string): string {
    const { sid, gen } = claimsOf(token);
    return `session ${sessions.indexOf(sid)}, generation ${gen}`;
  }

  async function start(server: number, cookie: string | undefined): Promise<Outcome & { kind: 'good' }> {
    const device = { userAgent: undefined, ip: undefined };
    const issuedNow = await servers[server]!.start({
      account,
      isNew: false,
      remember: true,
      device,
      replacing: cookie,
    });
    if (issuedNow.kind === 'failed') return fail('A login failed.');
    const { grant, cookie: set } = issuedNow;
    sessions.push(grant.session.id);
    started.set(grant.session.id, time.now);
    if (cookie !== undefined) ended.add(claimsOf(cookie).sid);
    const outcome = { kind: 'good' as const, access: grant.accessToken, cookie: set!.token, generation: 1 };
    record('login', server, outcome);
    return outcome;
  }

  async function refresh(server: number, cookie: string): Promise<Outcome> {
    const answer = await servers[server]!.refresh(cookie, unlimited);
    const outcome: Outcome =
      answer.kind === 'failed'
        ? { kind: 'failed', why: 'reason' in answer.failure ? answer.failure.reason : answer.failure.code }
        : {
            kind: 'good',
            access: answer.grant.accessToken,
            generation: answer.grant.session.generation,
            ...(answer.cookie === undefined ? {} : { cookie: answer.cookie.token }),
          };
    if (
      outcome.kind === 'good' &&
      claimsOf(outcome.access!).refreshIssuedAt !== claimsOf(outcome.cookie ?? cookie).refreshIssuedAt
    )
      fail('The gat of an access token is not the iat of the refresh token that it came with.');
    return record(`refresh with ${describe(cookie)}`, server, outcome, claimsOf(cookie).sid);
  }

  async function call(server: number, access: string): Promise<Outcome> {
    const answer = await servers[server]!.authenticate(access);
    const outcome: Outcome =
      answer.kind === 'failed'
        ? { kind: 'failed', why: 'reason' in answer.failure ? answer.failure.reason : answer.failure.code }
        : { kind: 'good' };
    return record(`call with ${describe(access)}`, server, outcome, claimsOf(access).sid);
  }

  async function logout(server: number, cookie: string | undefined, access: string | undefined): Promise<Outcome> {
    const session = servers[server]!.identify(cookie, access);
    if (session !== undefined) await servers[server]!.end(session);
    const token = cookie ?? access;
    if (token !== undefined) ended.add(claimsOf(token).sid);
    return record('logout', server, { kind: 'good' });
  }

  return {
    time,
    servers,
    sessions,
    issued,
    /** Sessions that their user ended, by logging out or by logging in again. */
    ended,
    currentGeneration: (sid: string) => db.generationOf(sid),
    log,
    fail,
    start,
    refresh,
    call,
    logout,
    clock: (server: number) => clocks[server]!(),

    /** Invariant 3: tries every token of every ended session once more, on every server. */
    async checkLogoutWins(): Promise<void> {
      for (const server of servers.keys()) {
        for (const token of issued.refresh)
          if (ended.has(claimsOf(token).sid) && (await refresh(server, token)).kind === 'good')
            fail('A refresh revived an ended session.');
        for (const token of issued.access)
          if (ended.has(claimsOf(token).sid) && (await call(server, token)).kind === 'good')
            fail('A call succeeded after its session had ended.');
      }
    },

    /** Invariant 4. */
    async checkDatabase(): Promise<void> {
      const bytes = await db.serialize();
      for (const token of [...issued.refresh, ...issued.access])
        for (const part of token.split('.'))
          if (bytes.includes(part)) fail(`The database contains part of a token: ${part}`);
      for (const secret of [...secrets.accessSecrets, ...secrets.refreshSecrets])
        if (bytes.includes(secret)) fail('The database contains a secret.');
      if ((await db.countSessions()) > sessions.length) fail('There are more rows than sessions.');
    },
  };
}

/** A request of an honest person's browser. All times in milliseconds. */
export interface Request {
  what: 'refresh' | 'call' | 'login' | 'logout';
  /** Since the previous event. The cookie is read when the request is sent. */
  gap: number;
  tab: number;
  server: number;
  /** How long it takes to reach the server. */
  there: number | 'never';
  /** How long the answer takes. */
  back: number | 'never';
  /** When the network delivers it a second time, since it was sent. */
  again?: number | undefined;
}

export type Event =
  | Request
  /** A power cut that undoes up to `writes` of the last unsynced writes. */
  | { what: 'cut'; gap: number; writes: number }
  | { what: 'purge'; gap: number; server: number };

interface Message {
  request: Request;
  cookie: string | undefined;
  access: string | undefined;
  deadline: number;
  /** Set once the server has answered. */
  outcome?: Outcome;
  /** Its answer is not stored, though the request may still reach the server. */
  givenUp?: boolean;
}

/** In the order in which simultaneous ones are run, which is the worst order. */
type Phase = 'send' | 'process' | 'store';
const PHASES: Phase[] = ['send', 'process', 'store'];

/** A login or logout, which changes the session that the browser is in. */
const changesSession = ({ request: { what } }: Message) => what === 'login' || what === 'logout';

/**
 * Runs an honest browser with two tabs on a bad network, which loses, delays, duplicates and reorders requests and answers.
 * Each request is processed and answered within the time an honest request may take, or never. Checks at every step that
 * nobody is logged out, and that nothing works after logging out.
 * @returns the result of every exchange, to compare histories, and the check of invariant 4, which is slow
 */
export async function liveThrough(
  db: ModelDatabase,
  circumstances: Circumstances,
  events: readonly Event[],
): Promise<{ history: unknown[]; checkDatabase: () => Promise<void> }> {
  const world = await createWorld(db, circumstances);
  const { time, fail, log, ended } = world;
  const first = await world.start(0, undefined);
  let jar = first.cookie;
  const tabs = [first.access, undefined];
  /** The session that the person knows to be in; undefined while a login or logout has not been answered. */
  let loggedInTo: string | undefined = claimsOf(first.cookie!).sid;
  let pending: Message[] = [];
  const history: unknown[] = [];

  function send(request: Request): Message | undefined {
    const { what, tab } = request;
    const message = { request, cookie: jar, access: tabs[tab], deadline: time.now + HONEST_REQUEST_MS };
    if (what === 'refresh' && jar === undefined) return undefined;
    if (what === 'call' && message.access === undefined) return undefined;
    // What only the client can guarantee: a refresh waits for a login or logout in flight, and a login or logout discards the
    // answers of the requests before it.
    pending = pending.filter(({ deadline }) => deadline >= time.now);
    if (what === 'refresh' && pending.some(changesSession)) return undefined;
    if (changesSession(message)) {
      loggedInTo = undefined;
      for (const before of pending) before.givenUp = true;
    }
    if (what !== 'call') pending.push(message);
    return message;
  }

  async function serve({ request: { what, server }, cookie, access }: Message): Promise<Outcome> {
    switch (what) {
      case 'login':
        return world.start(server, cookie);
      case 'logout':
        return world.logout(server, cookie, access);
      case 'refresh':
        return world.refresh(server, cookie!);
      case 'call':
        return world.call(server, access!);
    }
  }

  async function process(message: Message): Promise<void> {
    const { what, server } = message.request;
    const outcome = await serve(message);
    message.outcome = outcome;
    history.push([what, outcome.kind === 'good' ? [outcome.generation, outcome.cookie !== undefined] : outcome.why]);
    if (what === 'login' || what === 'logout') return;
    const { sid, exp } = claimsOf(what === 'refresh' ? message.cookie! : message.access!);
    const expired = exp <= world.clock(server);
    if (ended.has(sid)) {
      if (outcome.kind === 'good') fail('A session continued after its user had ended it.');
    } else if (outcome.kind === 'failed' && !expired) fail('An honest person was logged out.');
    else if (outcome.kind === 'good' && expired) fail('An expired token was accepted.');
  }

  function store({ request: { what, tab }, outcome, givenUp }: Message): void {
    if (outcome?.kind !== 'good' || givenUp) return;
    log(`tab ${tab} receives the answer to its ${what}`);
    if (what === 'logout') {
      jar = undefined;
      tabs[tab] = undefined;
      return;
    }
    if (outcome.cookie !== undefined) jar = outcome.cookie;
    if (outcome.access !== undefined) tabs[tab] = outcome.access;
    if (what === 'login') loggedInTo = claimsOf(outcome.cookie!).sid;
  }

  const messages = new Map<Event, Message>();
  async function run(event: Event, phase: Phase): Promise<void> {
    if (event.what === 'cut') {
      log('power cut');
      return db.cut(event.writes);
    }
    if (event.what === 'purge') return void (await world.servers[event.server]!.purge());
    if (phase === 'send') {
      const message = send(event);
      if (message !== undefined) messages.set(event, message);
      return undefined;
    }
    const message = messages.get(event);
    if (message === undefined) return undefined;
    if (phase === 'process') return process(message);
    pending = pending.filter((other) => other !== message);
    return store(message);
  }

  for (const { at, event, phase } of timetable(events)) {
    time.now = START + at;
    await run(event, phase);
  }
  if (loggedInTo !== undefined) {
    if (jar === undefined || claimsOf(jar).sid !== loggedInTo) fail('The browser has the cookie of another session.');
    for (const server of world.servers.keys()) {
      const request: Request = { what: 'refresh', gap: 0, tab: 0, server, there: 0, back: 0 };
      await process({ request, cookie: jar, access: undefined, deadline: 0 });
    }
  }
  await world.checkLogoutWins();
  return { history, checkDatabase: world.checkDatabase };
}

interface Entry {
  at: number;
  event: Event;
  phase: Phase;
}

/** The phases of all events in order of time. No phase of an honest request is later than its deadline. */
function timetable(events: readonly Event[]): Entry[] {
  let at = 0;
  const entries = events.flatMap((event): Entry[] => {
    at += event.gap;
    const sent = at;
    const send: Entry = { at: sent, event, phase: 'send' };
    if (!('there' in event)) return [send];
    const phases: Entry[] = [send];
    const add = (phase: Phase, after: number) =>
      phases.push({ at: sent + Math.min(after, HONEST_REQUEST_MS), event, phase });
    if (event.there !== 'never') {
      add('process', event.there);
      if (event.again !== undefined) add('process', event.again);
      if (event.back !== 'never') add('store', event.there + event.back);
    }
    return phases;
  });
  return entries.toSorted((a, b) => a.at - b.at || PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase));
}

/** A step with any token ever issued. `pick` counts back from the newest. */
export type HostileStep = { do: 'wait'; ms: number } | { do: 'refresh' | 'call'; pick: number; server: number };

/**
 * Invariant 2a: any token may be presented at any time. Checks that a token of a generation older than one first used more
 * than the reuse interval ago ends the session, and that it stays ended.
 */
export async function replayTokens(
  db: ModelDatabase,
  circumstances: Circumstances & { skews: readonly [number, number] },
  steps: readonly HostileStep[],
): Promise<void> {
  const world = await createWorld(db, circumstances);
  const { time, fail, issued } = world;
  await world.start(0, undefined);
  const firstUsed = new Map<number, number>();
  // A token carries the time of the server that issued it, and another server's clock is compared with it.
  const tolerance = policy.reuseIntervalMs + Math.abs(circumstances.skews[0] - circumstances.skews[1]);
  let over = false;

  for (const step of steps) {
    if (step.do === 'wait') {
      time.now += step.ms;
      continue;
    }
    const tokens = step.do === 'refresh' ? issued.refresh : issued.access;
    const token = tokens[Math.max(0, tokens.length - 1 - step.pick)]!;
    const { gen, exp } = claimsOf(token);
    const inTime = exp > world.clock(step.server);
    const superseded = [...firstUsed].some(([newer, since]) => newer > gen && time.now - since > tolerance);
    const { kind } = await world[step.do](step.server, token);
    if (kind === 'good') {
      if (over) fail('A session continued after reuse was detected.');
      if (step.do === 'refresh' && superseded) fail('A superseded token was accepted.');
      if (!firstUsed.has(gen)) firstUsed.set(gen, time.now);
    } else if (inTime) over = true;
  }
}

type Party = 'owner' | 'thief';

/** A step of a theft. `lost`: the server answers, but the answer does not arrive. */
export type TheftStep =
  | { do: 'wait'; ms: number }
  | { do: 'steal' }
  | { do: 'refresh'; who: Party; server: number; lost: boolean }
  | { do: 'call'; who: Party; server: number };

/**
 * Invariant 2b: a thief copies the cookie once, and never refreshes within the reuse interval of the owner. Checks that once
 * either has used a generation that they fetched themselves while it was current, the other's next refresh ends the session.
 */
export async function steal(
  db: ModelDatabase,
  circumstances: Circumstances & { skews: readonly [number, number] },
  steps: readonly TheftStep[],
): Promise<void> {
  const world = await createWorld(db, circumstances);
  const { time, fail, log } = world;
  const first = await world.start(0, undefined);
  const apart = policy.reuseIntervalMs + Math.abs(circumstances.skews[0] - circumstances.skews[1]) + 1;
  const holding = (cookie: string | undefined) => ({
    cookie,
    access: undefined as string | undefined,
    /** Generations received from the server since the theft. */
    fetched: new Set<number>(),
    refreshedAt: Number.NEGATIVE_INFINITY,
    /** The other party has used a generation that they fetched. */
    exposed: false,
  });
  const parties = { owner: holding(first.cookie), thief: holding(undefined) };
  let stolen = false;

  /** Whether this use confirms a generation that they fetched themselves and that is still current. */
  async function confirms(who: Party, token: string): Promise<boolean> {
    const { sid, gen } = claimsOf(token);
    return parties[who].fetched.has(gen) && (await world.currentGeneration(sid)) === gen;
  }

  for (const step of steps) {
    if (step.do === 'wait') {
      time.now += step.ms;
      continue;
    }
    if (step.do === 'steal') {
      if (stolen) continue;
      stolen = true;
      parties.thief.cookie = parties.owner.cookie;
      log('the thief copies the cookie');
      continue;
    }
    const party = parties[step.who];
    const other = parties[step.who === 'owner' ? 'thief' : 'owner'];
    const token = step.do === 'refresh' ? party.cookie : party.access;
    if (token === undefined) continue;
    if (step.do === 'refresh') {
      time.now = Math.max(time.now, other.refreshedAt + apart);
      party.refreshedAt = time.now;
    }
    const inTime = claimsOf(token).exp > world.clock(step.server);
    const confirmed = await confirms(step.who, token);
    log(step.who);
    const outcome = await world[step.do](step.server, token);
    if (outcome.kind === 'failed') {
      if (!inTime) continue;
      if (!stolen) fail('The owner was logged out although nothing was stolen.');
      for (const left of world.issued.access.slice(-3))
        if ((await world.call(step.server, left)).kind === 'good')
          fail('One of the two was refused, and the session continued.');
      return;
    }
    if (step.do === 'refresh' && party.exposed) fail('The thief and the owner both continued.');
    if (confirmed) other.exposed = true;
    if (step.do === 'call' || step.lost) continue;
    party.access = outcome.access;
    if (outcome.cookie === undefined) continue;
    party.cookie = outcome.cookie;
    if (stolen) party.fetched.add(outcome.generation!);
  }
}
