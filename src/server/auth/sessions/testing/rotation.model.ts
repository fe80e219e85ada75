import { openSqlite, type SqliteDatabase } from '../../../db/sqlite.ts';
import { windowFor, type Policy } from '../rotation.ts';
import { createSessions, type Sessions } from '../sessions.ts';
import { sqliteStore } from '../../store/sqlite/auth-store.ts';
import { toUser, type Account } from '../../store/auth-store.ts';
import { createTokens } from '../tokens.ts';

/*
 * The world in which the protocol is tried out: real tokens, the real rules, the real store; time, the network, the
 * browser and the power supply are ours. See protocol.model.test.ts for what must hold in it.
 */

const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
const START = Date.UTC(2030, 0, 1);

/** Shorter than the defaults, so that expiring is within reach of a short history; long enough for the whole WINDOW. */
const lifetimes = { refreshTokenLifetime: HOUR, sessionMaxAge: 3 * HOUR };
export const policy: Policy = { ...lifetimes, window: windowFor(lifetimes.refreshTokenLifetime) };
const accessTokenLifetime = 15 * MINUTE;

/** Between the clocks of two servers, at most. */
const CLOCKS_APART = 10 * SECOND;
/** From reading the cookie to storing the answer: the longest that an honest request takes. */
const HONEST_REQUEST = 25 * SECOND;

const account: Account = {
  id: 'anna',
  username: 'anna',
  email: 'anna@example.com',
  passwordHash: '',
  createdAt: START,
};
const user = toUser(account);
const secrets = {
  accessSecrets: ['access secret of the model, 32 bytes or more'],
  refreshSecrets: ['refresh secret of the model, 32 bytes or more'],
};

interface Claims {
  sid: string;
  gen: number;
  /** Milliseconds since the epoch. */
  exp: number;
  /** Of the copy: a refresh token's own, an access token's that of the copy that it came with. In seconds. */
  date: number;
}

const unlimited = async () => undefined;

/** What a token says; the model trusts it, the servers do not. */
export function claimsOf(token: string): Claims {
  const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  const { sid, gen, exp, iat, gat } = JSON.parse(payload) as Omit<Claims, 'date'> & { iat: number; gat?: number };
  return { sid, gen, exp: Math.round(exp * 1000), date: gat ?? iat };
}

/** A database that can lose its power: what was written without waiting for the disk may then be gone. */
function withPowerCuts(database: SqliteDatabase) {
  const client = database.db.$client;
  const changes = client.prepare('select total_changes()').pluck();
  const rows = client.prepare('select * from sessions');
  /** The rows before each write that a power cut may undo, oldest first. */
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

  return {
    database: {
      ...database,
      verb: <Args extends unknown[], Result>(run: (...args: Args) => Result) =>
        database.verb((...args: Args): Result => {
          const before = counted();
          unsynced = 0;
          try {
            return run(...args);
          } finally {
            // What is synced takes along everything before it: there is one log, and it is synced up to its end.
            if (counted() - before > unsynced) undoable = [];
          }
        }),
      relaxed<Result>(run: () => Result): Result {
        const rowsBefore = rows.all();
        const before = counted();
        try {
          return database.relaxed(run);
        } finally {
          if (counted() > before) undoable.push(rowsBefore);
          unsynced += counted() - before;
        }
      },
    },

    /** Undoes the last writes, as many as the power cut takes along. */
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

/** A database with one person in it, to be used by one world after another. */
export async function openModelDatabase(paths: readonly [string, ...string[]]) {
  const databases = paths.map((path) => {
    const opened = openSqlite(path);
    return { opened, ...withPowerCuts(opened) };
  });
  const stores = databases.map(({ database }) => sqliteStore(database));
  await stores[0]!.createAccount(account);
  const generation = databases[0]!.opened.db.$client.prepare('select generation from sessions where id = ?').pluck();
  return {
    stores,
    cut: (back: number) => databases[0]!.cut(back),
    clear: () => databases[0]!.clear(),
    serialize: () => databases[0]!.opened.db.$client.serialize(),
    countSessions: () =>
      databases[0]!.opened.db.$client.prepare('select count(*) from sessions').pluck().get() as number,
    generationOf: (sid: string) => generation.get(sid) as number | undefined,
    close() {
      for (const { opened } of databases) opened.close();
    },
  };
}
export type ModelDatabase = Awaited<ReturnType<typeof openModelDatabase>>;

/** What an exchange with a server came to. */
export type Outcome =
  | { kind: 'good'; access?: string; cookie?: string; generation?: number }
  | { kind: 'failed'; why: string };

export interface Circumstances {
  /** How far each server's clock is ahead of the true time. In milliseconds. */
  skews?: readonly [number, number];
  /** For showing what a shorter one would do. In milliseconds. */
  window?: number;
}

/** Two servers on one database, and a clock that is moved. */
function createWorld(db: ModelDatabase, { skews = [0, 0], window = policy.window }: Circumstances) {
  db.clear();
  const time = { now: START };
  const tokens = createTokens({ ...secrets, accessTokenLifetime });
  const clocks = skews.map((skew) => () => time.now + skew);
  const servers: Sessions[] = clocks.map((clock, i) =>
    createSessions({
      store: db.stores[i % db.stores.length]!,
      tokens,
      policy: { ...policy, window },
      accessTokenLifetime,
      clock,
    }),
  );
  const issued = { refresh: [] as string[], access: [] as string[] };
  /** Sessions in the order in which they were started: ids are random, histories are to be compared. */
  const sessions: string[] = [];
  const started = new Map<string, number>();
  const ended = new Set<string>();
  const story: string[] = [];

  function tell(line: string): void {
    story.push(`${((time.now - START) / SECOND).toFixed(3)} s: ${line}`);
  }

  function fail(rule: string): never {
    throw new Error([rule, ...story].join('\n'));
  }

  /** @param sid of the session that was used, where one was */
  function note(what: string, server: number, outcome: Outcome, sid?: string): Outcome {
    if (outcome.kind === 'good') {
      if (sid !== undefined && time.now - started.get(sid)! >= policy.sessionMaxAge + CLOCKS_APART)
        fail('A session outlived its greatest age.');
      if (outcome.access !== undefined) issued.access.push(outcome.access);
      if (outcome.cookie !== undefined) issued.refresh.push(outcome.cookie);
    }
    const result =
      outcome.kind === 'failed'
        ? outcome.why
        : `good ${outcome.generation ?? ''}${outcome.cookie === undefined ? '' : ' with cookie'}`;
    tell(`server ${server}: ${what} -> ${result}`);
    return outcome;
  }

  /** The generation that the database has just now. */
  const current = (sid: string) => db.generationOf(sid);

  function named(token: string): string {
    const { sid, gen } = claimsOf(token);
    return `session ${sessions.indexOf(sid)}, generation ${gen}`;
  }

  async function start(server: number, cookie: string | undefined): Promise<Outcome & { kind: 'good' }> {
    const { grant, cookie: set } = await servers[server]!.start(user, { userAgent: undefined, ip: undefined }, cookie);
    sessions.push(grant.session.id);
    started.set(grant.session.id, time.now);
    if (cookie !== undefined) ended.add(claimsOf(cookie).sid);
    const outcome = { kind: 'good' as const, access: grant.accessToken, cookie: set!.token, generation: 1 };
    note('login', server, outcome);
    return outcome;
  }

  async function refresh(server: number, cookie: string): Promise<Outcome> {
    const answer = await servers[server]!.refresh(cookie, unlimited);
    const outcome: Outcome =
      'failure' in answer
        ? { kind: 'failed', why: 'reason' in answer.failure ? answer.failure.reason : answer.failure.code }
        : {
            kind: 'good',
            access: answer.grant.accessToken,
            generation: answer.grant.session.generation,
            ...(answer.cookie === undefined ? {} : { cookie: answer.cookie.token }),
          };
    if (outcome.kind === 'good' && claimsOf(outcome.access!).date !== claimsOf(outcome.cookie ?? cookie).date)
      fail('An access token is not dated as the copy that it came with.');
    return note(`refresh with ${named(cookie)}`, server, outcome, claimsOf(cookie).sid);
  }

  async function call(server: number, access: string): Promise<Outcome> {
    const answer = await servers[server]!.recognize(access);
    const outcome: Outcome =
      'failure' in answer
        ? { kind: 'failed', why: 'reason' in answer.failure ? answer.failure.reason : answer.failure.code }
        : { kind: 'good' };
    return note(`call with ${named(access)}`, server, outcome, claimsOf(access).sid);
  }

  async function logout(server: number, cookie: string | undefined, access: string | undefined): Promise<Outcome> {
    const named = servers[server]!.named(cookie, access);
    if (named !== undefined) await servers[server]!.end(named);
    const token = cookie ?? access;
    if (token !== undefined) ended.add(claimsOf(token).sid);
    return note('logout', server, { kind: 'good' });
  }

  return {
    time,
    servers,
    sessions,
    issued,
    /** Sessions that their owner ended, by logging out or by logging in again. */
    ended,
    current,
    tell,
    fail,
    start,
    refresh,
    call,
    logout,
    clock: (server: number) => clocks[server]!(),

    /** Rule 3: every token there ever was of a session that was ended, tried once more on every server. */
    async checkLogoutWins(): Promise<void> {
      for (const server of servers.keys()) {
        for (const token of issued.refresh)
          if (ended.has(claimsOf(token).sid) && (await refresh(server, token)).kind === 'good')
            fail('A refresh brought an ended session back.');
        for (const token of issued.access)
          if (ended.has(claimsOf(token).sid) && (await call(server, token)).kind === 'good')
            fail('A call was let in after its session had ended.');
      }
    },

    /** Rule 4. */
    checkDatabase(): void {
      const bytes = db.serialize();
      for (const token of [...issued.refresh, ...issued.access])
        for (const part of token.split('.'))
          if (bytes.includes(part)) fail(`The database holds a part of a token: ${part}`);
      for (const secret of [...secrets.accessSecrets, ...secrets.refreshSecrets])
        if (bytes.includes(secret)) fail('The database holds a secret.');
      if (db.countSessions() > sessions.length) fail('There are more rows than sessions.');
    },
  };
}
/** What an honest person's browser sends. All times in milliseconds. */
export interface Request {
  what: 'refresh' | 'call' | 'login' | 'logout';
  /** Since the event before it. Then, too, the cookie is read. */
  gap: number;
  tab: number;
  server: number;
  /** How long it takes to the server; `never` where it does not get there. */
  there: number | 'never';
  /** How long the answer takes; `never` where it gets lost. */
  back: number | 'never';
  /** Since it was sent: when a network that repeats it brings it to the server once more. */
  again?: number | undefined;
}

export type Event =
  | Request
  /** A power cut, which takes the last writes along, but for those that were synced. */
  | { what: 'cut'; gap: number; writes: number }
  | { what: 'purge'; gap: number; server: number };

interface Message {
  request: Request;
  cookie: string | undefined;
  access: string | undefined;
  deadline: number;
  /** Once the server has answered. */
  outcome?: Outcome;
  /** The request may still reach the server; its answer is not stored. */
  givenUp?: boolean;
}

/** In the order in which they come where they come at the same time: it is the worst. */
type Phase = 'send' | 'process' | 'store';
const PHASES: Phase[] = ['send', 'process', 'store'];

/** Log in and log out: what changes which session the browser is in. */
const enters = ({ request: { what } }: Message) => what === 'login' || what === 'logout';

/**
 * An honest browser of two tabs on a bad network: requests and answers get lost, are late, come twice and overtake each
 * other; but each is processed and answered within the time that an honest request may take, or never. Checks, at every
 * step, that nobody is logged out, and that nobody is let in after logging out.
 * @returns what every exchange came to, for comparing two histories, and the check of rule 4, which takes its time
 */
export async function liveThrough(
  db: ModelDatabase,
  circumstances: Circumstances,
  events: readonly Event[],
): Promise<{ history: unknown[]; checkDatabase: () => void }> {
  const world = createWorld(db, circumstances);
  const { time, fail, tell, ended } = world;
  const first = await world.start(0, undefined);
  let jar = first.cookie;
  const tabs = [first.access, undefined];
  /** The session that the person is logged in to as far as they can know; undefined while they cannot. */
  let loggedInTo: string | undefined = claimsOf(first.cookie!).sid;
  let pending: Message[] = [];
  const history: unknown[] = [];

  function send(request: Request): Message | undefined {
    const { what, tab } = request;
    const message = { request, cookie: jar, access: tabs[tab], deadline: time.now + HONEST_REQUEST };
    if (what === 'refresh' && jar === undefined) return undefined;
    if (what === 'call' && message.access === undefined) return undefined;
    // The client lets one of these at a time touch the cookie, across its tabs: a refresh waits for a login or a logout
    // under way, and these give up whatever was before them. No server could make up for a client that does not.
    pending = pending.filter(({ deadline }) => deadline >= time.now);
    if (what === 'refresh' && pending.some(enters)) return undefined;
    if (enters(message)) {
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
      if (outcome.kind === 'good') fail('A session went on after its owner had ended it.');
    } else if (outcome.kind === 'failed' && !expired) fail('An honest person was logged out.');
    else if (outcome.kind === 'good' && expired) fail('An expired token was taken.');
  }

  function store({ request: { what, tab }, outcome, givenUp }: Message): void {
    if (outcome?.kind !== 'good' || givenUp) return;
    tell(`tab ${tab} gets the answer to its ${what}`);
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
      tell('power cut');
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
    if (jar === undefined || claimsOf(jar).sid !== loggedInTo) fail('The browser kept the cookie of another session.');
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

/** When what happens. Nothing of an honest request happens after its deadline. */
function timetable(events: readonly Event[]): Entry[] {
  let at = 0;
  const entries = events.flatMap((event): Entry[] => {
    at += event.gap;
    const sent = at;
    const send: Entry = { at: sent, event, phase: 'send' };
    if (!('there' in event)) return [send];
    const phases: Entry[] = [send];
    const add = (phase: Phase, after: number) =>
      phases.push({ at: sent + Math.min(after, HONEST_REQUEST), event, phase });
    if (event.there !== 'never') {
      add('process', event.there);
      if (event.again !== undefined) add('process', event.again);
      if (event.back !== 'never') add('store', event.there + event.back);
    }
    return phases;
  });
  return entries.toSorted((a, b) => a.at - b.at || PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase));
}

/** One step with whatever tokens there are, by whomever. `pick` counts from the newest. */
export type HostileStep = { do: 'wait'; ms: number } | { do: 'refresh' | 'call'; pick: number; server: number };

/**
 * Anybody presents any token that there ever was, whenever they like. Checks that a token of a generation older than one
 * that was first used more than WINDOW ago ends the session, and that what is ended stays so.
 */
export async function tryEverything(
  db: ModelDatabase,
  circumstances: Circumstances & { skews: readonly [number, number] },
  steps: readonly HostileStep[],
): Promise<void> {
  const world = createWorld(db, circumstances);
  const { time, fail, issued } = world;
  await world.start(0, undefined);
  const firstUsed = new Map<number, number>();
  // The date of a copy is that of the server that issued it; what is compared with it is the other one's clock.
  const tolerance = policy.window + Math.abs(circumstances.skews[0] - circumstances.skews[1]);
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
      if (over) fail('A session went on after it had been found in two hands.');
      if (step.do === 'refresh' && superseded) fail('A superseded token was taken.');
      if (!firstUsed.has(gen)) firstUsed.set(gen, time.now);
    } else if (inTime) over = true;
  }
}

type Party = 'owner' | 'thief';

/** A step of a theft; a `lost` answer is one that the server gave and nobody got. */
export type TheftStep =
  | { do: 'wait'; ms: number }
  | { do: 'steal' }
  | { do: 'refresh'; who: Party; server: number; lost: boolean }
  | { do: 'call'; who: Party; server: number };

/**
 * A thief copies the cookie, once, and never refreshes within WINDOW of the owner. Checks that once either has used a
 * generation that they fetched themselves, while it was current, the next refresh of the other ends the session.
 */
export async function steal(
  db: ModelDatabase,
  circumstances: Circumstances & { skews: readonly [number, number] },
  steps: readonly TheftStep[],
): Promise<void> {
  const world = createWorld(db, circumstances);
  const { time, fail, tell } = world;
  const first = await world.start(0, undefined);
  const apart = policy.window + Math.abs(circumstances.skews[0] - circumstances.skews[1]) + 1;
  const holding = (cookie: string | undefined) => ({
    cookie,
    access: undefined as string | undefined,
    /** Generations got from the server since the theft. */
    fetched: new Set<number>(),
    refreshedAt: Number.NEGATIVE_INFINITY,
    /** The other has used what they fetched. */
    exposed: false,
  });
  const parties = { owner: holding(first.cookie), thief: holding(undefined) };
  let stolen = false;

  /** Whether this use shows that they hold what they fetched themselves, while nobody has gone further. */
  function shows(who: Party, token: string): boolean {
    const { sid, gen } = claimsOf(token);
    return parties[who].fetched.has(gen) && world.current(sid) === gen;
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
      tell('the thief copies the cookie');
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
    const shown = shows(step.who, token);
    tell(step.who);
    const outcome = await world[step.do](step.server, token);
    if (outcome.kind === 'failed') {
      if (!inTime) continue;
      if (!stolen) fail('The owner was logged out with nobody else there.');
      for (const left of world.issued.access.slice(-3))
        if ((await world.call(step.server, left)).kind === 'good')
          fail('One of the two was sent away, and the session went on.');
      return;
    }
    if (step.do === 'refresh' && party.exposed) fail('The thief and the owner both went on.');
    if (shown) other.exposed = true;
    if (step.do === 'call' || step.lost) continue;
    party.access = outcome.access;
    if (outcome.cookie === undefined) continue;
    party.cookie = outcome.cookie;
    if (stolen) party.fetched.add(outcome.generation!);
  }
}
