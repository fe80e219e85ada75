import { openSqlite, type SqliteDatabase } from '../database.sqlite.ts';
import { windowFor, type Policy } from './protocol.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { sqliteStore } from './store.sqlite.ts';
import { toUser, type Account } from './store.ts';
import { createTokens } from './tokens.ts';

/*
 * The world in which the protocol is tried out: real tokens, the real rules, the real store; time, the network, the
 * browser and the power supply are ours. See protocol.model.test.ts for what must hold in it.
 */

const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2030, 0, 1);

/** Shorter than the defaults, so that expiring is within reach of a short history; long enough for the whole WINDOW. */
const lifetimes = { refreshTokenLifetime: HOUR, sessionMaxAge: 3 * HOUR };
export const policy: Policy = { ...lifetimes, window: windowFor(lifetimes.refreshTokenLifetime) };
const accessTokenLifetime = 15 * MINUTE;

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
}

const unlimited = async () => undefined;

/** What a token says; the model trusts it, the servers do not. */
export function claimsOf(token: string): Claims {
  const { sid, gen, exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Claims;
  return { sid, gen, exp: Math.round(exp * 1000) };
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
  return {
    stores,
    cut: (back: number) => databases[0]!.cut(back),
    clear: () => databases[0]!.clear(),
    serialize: () => databases[0]!.opened.db.$client.serialize(),
    countSessions: () =>
      databases[0]!.opened.db.$client.prepare('select count(*) from sessions').pluck().get() as number,
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

/** Two servers on one database, and a clock that is moved. */
export function createWorld(db: ModelDatabase, skews: readonly [number, number]) {
  db.clear();
  const world = { now: START };
  const tokens = createTokens({ ...secrets, accessTokenLifetime });
  const clocks = skews.map((skew) => () => world.now + skew);
  const servers: Sessions[] = clocks.map((clock, i) =>
    createSessions({ store: db.stores[i % db.stores.length]!, tokens, policy, accessTokenLifetime, clock }),
  );
  const issued = { refresh: [] as string[], access: [] as string[] };
  /** Sessions in the order in which they were started: ids are random, histories are to be compared. */
  const sessions: string[] = [];
  const ended = new Set<string>();
  const story: string[] = [];

  function tell(line: string): void {
    story.push(`${((world.now - START) / SECOND).toFixed(3)} s: ${line}`);
  }

  function fail(rule: string): never {
    throw new Error([rule, ...story].join('\n'));
  }

  function note(what: string, server: number, outcome: Outcome): Outcome {
    if (outcome.kind === 'good') {
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

  function named(token: string): string {
    const { sid, gen } = claimsOf(token);
    return `session ${sessions.indexOf(sid)}, generation ${gen}`;
  }

  async function start(server: number, cookie: string | undefined): Promise<Outcome & { kind: 'good' }> {
    const { grant, cookie: set } = await servers[server]!.start(user, { userAgent: undefined, ip: undefined }, cookie);
    sessions.push(grant.session.id);
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
    return note(`refresh with ${named(cookie)}`, server, outcome);
  }

  async function call(server: number, access: string): Promise<Outcome> {
    const answer = await servers[server]!.recognize(access);
    const outcome: Outcome =
      'failure' in answer
        ? { kind: 'failed', why: 'reason' in answer.failure ? answer.failure.reason : answer.failure.code }
        : { kind: 'good' };
    return note(`call with ${named(access)}`, server, outcome);
  }

  async function logout(server: number, cookie: string | undefined, access: string | undefined): Promise<Outcome> {
    await servers[server]!.end(cookie, access);
    const token = cookie ?? access;
    if (token !== undefined) ended.add(claimsOf(token).sid);
    return note('logout', server, { kind: 'good' });
  }

  return {
    world,
    servers,
    sessions,
    issued,
    /** Sessions that their owner ended, by logging out or by logging in again. */
    ended,
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
export type World = ReturnType<typeof createWorld>;

/** One step of an honest person's history. Numbers that pick something are taken modulo what there is. */
export type Step =
  | { do: 'wait'; ms: number }
  | { do: 'send' | 'exchange'; what: 'refresh' | 'call' | 'login' | 'logout'; tab: number; server: number }
  | { do: 'process' | 'deliver'; pick: number }
  | { do: 'cut'; back: number }
  | { do: 'purge'; server: number };

interface Message {
  what: 'refresh' | 'call' | 'login' | 'logout';
  tab: number;
  server: number;
  cookie: string | undefined;
  access: string | undefined;
  deadline: number;
}

interface Answer {
  to: Message;
  outcome: Outcome;
}

/**
 * An honest browser of several tabs on a bad network: requests and answers get lost, are late, come twice and overtake
 * each other; but each is processed and answered within the time that an honest request may take, or never. Checks, at
 * every step, that nobody is logged out, and that nobody is let in after logging out.
 * @returns what every exchange came to, for comparing two histories
 */
export async function liveThrough(
  db: ModelDatabase,
  skews: readonly [number, number],
  steps: readonly Step[],
): Promise<unknown[]> {
  const universe = createWorld(db, skews);
  const { world, fail, tell, ended } = universe;
  const first = await universe.start(0, undefined);
  let jar = first.cookie;
  const tabs = [first.access, first.access, undefined];
  /** The session that the person is logged in to as far as they can know; undefined while they cannot. */
  let loggedInTo: string | undefined = claimsOf(first.cookie!).sid;
  let sent: Message[] = [];
  let answers: Answer[] = [];
  const history: unknown[] = [];

  function send(what: Message['what'], tab: number, server: number): Message | undefined {
    const message = { what, tab, server, cookie: jar, access: tabs[tab], deadline: world.now + HONEST_REQUEST };
    if (what === 'refresh' && jar === undefined) return undefined;
    if (what === 'call' && message.access === undefined) return undefined;
    if (what === 'login' || what === 'logout') loggedInTo = undefined;
    // The client lets only one of these touch the cookie at a time, across its tabs: a refresh waits for a login or a
    // logout under way, and those give up whatever was before them. No server could make up for a client that does not.
    if (what !== 'call' && [...sent, ...answers.map(({ to }) => to)].some(entering)) {
      if (what === 'refresh') return undefined;
    }
    if (entering(message)) answers = answers.filter(({ to }) => to.what === 'call');
    if (entering(message)) givenUp.push(...sent.filter((other) => other.what !== 'call'));
    sent.push(message);
    return message;
  }
  const entering = ({ what }: Message) => what === 'login' || what === 'logout';
  /** Their requests may still reach the server; their answers are not stored. */
  const givenUp: Message[] = [];

  async function process(message: Message): Promise<Answer | undefined> {
    const outcome = await serve(message);
    history.push([
      message.what,
      outcome.kind === 'good' ? [outcome.generation, outcome.cookie !== undefined] : outcome.why,
    ]);
    check(message, outcome);
    const answer = { to: message, outcome };
    if (givenUp.includes(message)) return undefined;
    answers.push(answer);
    return answer;
  }

  async function serve({ what, server, cookie, access }: Message): Promise<Outcome> {
    switch (what) {
      case 'login':
        return universe.start(server, cookie);
      case 'logout':
        return universe.logout(server, cookie, access);
      case 'refresh':
        return universe.refresh(server, cookie!);
      case 'call':
        return universe.call(server, access!);
    }
  }

  function check({ what, server, cookie, access }: Message, outcome: Outcome): void {
    if (what === 'login' || what === 'logout') return;
    const { sid, exp } = claimsOf(what === 'refresh' ? cookie! : access!);
    if (ended.has(sid)) {
      if (outcome.kind === 'good') fail('A session went on after its owner had ended it.');
      return;
    }
    const expired = exp <= universe.clock(server);
    if (outcome.kind === 'failed' && !expired) fail('An honest person was logged out.');
    if (outcome.kind === 'good' && expired) fail('An expired token was taken.');
  }

  function store({ to, outcome }: Answer): void {
    tell(`tab ${to.tab} gets the answer to its ${to.what}`);
    if (outcome.kind === 'failed') return;
    if (to.what === 'logout') {
      jar = undefined;
      tabs[to.tab] = undefined;
      return;
    }
    if (outcome.cookie !== undefined) jar = outcome.cookie;
    if (outcome.access !== undefined) tabs[to.tab] = outcome.access;
    if (to.what === 'login') loggedInTo = claimsOf(outcome.cookie!).sid;
  }

  for (const step of steps) {
    switch (step.do) {
      case 'wait':
        world.now += step.ms;
        sent = sent.filter(({ deadline }) => deadline >= world.now);
        answers = answers.filter(({ to }) => to.deadline >= world.now);
        break;
      case 'send':
        send(step.what, step.tab, step.server);
        break;
      case 'exchange': {
        const message = send(step.what, step.tab, step.server);
        if (message === undefined) break;
        sent = sent.filter((other) => other !== message);
        const answer = await process(message);
        answers = answers.filter((other) => other !== answer);
        if (answer !== undefined) store(answer);
        break;
      }
      case 'process': {
        // It stays where it is: a network that repeats a request may bring it to the server once more.
        const message = sent[step.pick % sent.length];
        if (message !== undefined) await process(message);
        break;
      }
      case 'deliver': {
        const [answer] = answers.splice(step.pick % answers.length, 1);
        if (answer === undefined) break;
        store(answer);
        sent = sent.filter((message) => message !== answer.to);
        break;
      }
      case 'cut':
        tell('power cut');
        db.cut(step.back);
        break;
      case 'purge':
        await universe.servers[step.server]!.purge();
        break;
    }
  }

  if (loggedInTo !== undefined) {
    if (jar === undefined || claimsOf(jar).sid !== loggedInTo) fail('The browser kept the cookie of another session.');
    for (const server of universe.servers.keys())
      await process({ what: 'refresh', tab: 0, server, cookie: jar, access: undefined, deadline: 0 });
  }
  await universe.checkLogoutWins();
  universe.checkDatabase();
  return history;
}
