import Database from 'better-sqlite3';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LEASE_MS, MAX_SENDING } from './mail/outbox.ts';
import { execute } from './testing/postgres.ts';
import { install, startProcess, type ServerProcess } from './testing/process.ts';
import { smtpServer, type TestSmtpServer } from './testing/smtp-server.ts';
import { testDatabase } from './testing/test-database.ts';

const KILLS = 3;
const CLIENTS = 4;
const ACKNOWLEDGED_PER_LIFE = 12;

interface Place extends AsyncDisposable {
  /** Starts a server on the same data as those before. */
  start(smtp: TestSmtpServer): Promise<ServerProcess>;
  sql(statement: string): Promise<Record<string, unknown>[]>;
  /** Resolves once nothing is executed any more that servers have sent which have been killed since. */
  quiet(): Promise<void>;
}

const mailSettings = ({ port }: TestSmtpServer) => ({
  MAIL_URL: `smtp://127.0.0.1:${port}`,
  MAIL_FROM: 'noreply@example.com',
  APP_URL: 'https://app.example.com',
});

async function onSqlite(): Promise<Place> {
  const place = install();
  return {
    start: (smtp) => startProcess(place, mailSettings(smtp)),
    async sql(source) {
      const database = new Database(join(place.folder, 'data/latchkey.db'));
      try {
        const statement = database.prepare<[], Record<string, unknown>>(source);
        if (statement.reader) return statement.all();
        statement.run();
        return [];
      } finally {
        database.close();
      }
    },
    // SQLite runs in the server.
    async quiet() {},
    async [Symbol.asyncDispose]() {
      place[Symbol.dispose]();
    },
  };
}

async function onPostgres(): Promise<Place> {
  await using opened = new AsyncDisposableStack();
  const { url } = opened.use(await testDatabase());
  const place = opened.use(install());
  const kept = opened.move();
  return {
    start: (smtp) => startProcess(place, { ...mailSettings(smtp), DATABASE_URL: url }),
    sql: (statement) => execute(url, statement),
    async quiet() {
      const working = `select state from pg_stat_activity
        where datname = current_database() and application_name = 'latchkey'`;
      await expect.poll(() => execute(url, working)).toEqual([]);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const places = Object.entries({ SQLite: onSqlite, PostgreSQL: onPostgres });

/** Registers somebody, who is sent a mail. @returns the status, or undefined where the server does not answer */
async function register({ url }: ServerProcess, name: string): Promise<number | undefined> {
  const account = { username: name, email: addressOf(name), password: `a good password for ${name}` };
  try {
    const response = await fetch(`${url}/trpc/auth.register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(account),
    });
    await response.text();
    return response.status;
  } catch {
    return undefined;
  }
}

const addressOf = (name: string) => `${name}@example.com`;
const names = (count: number, prefix = 'person') => Array.from({ length: count }, (_, index) => `${prefix}${index}`);

async function registerAll(server: ServerProcess, people: string[]): Promise<void> {
  const statuses = await Promise.all(people.map((name) => register(server, name)));
  expect(statuses).toEqual(people.map(() => 200));
}

async function kill(server: ServerProcess): Promise<void> {
  server.signal('SIGKILL');
  await server.exited;
}

/** Lets the leases of servers that are gone run out. */
async function runOut({ sql }: Place): Promise<void> {
  const [row] = await sql('select max(next_attempt_at) as at from outbox');
  expect(Number(row?.at)).toBeLessThanOrEqual(Date.now() + LEASE_MS);
  await sql('update outbox set next_attempt_at = 0');
}

/** Stops a server in order, after which nothing may be left to send. */
async function expectDone(place: Place, ...servers: ServerProcess[]): Promise<void> {
  for (const server of servers) server.signal('SIGTERM');
  for (const server of servers) {
    expect(await server.exited).toBe(0);
    expect(server.output()).not.toMatch(/"level":(50|60)/);
  }
  expect(await place.sql('select recipient from outbox')).toEqual([]);
}

/** What has been received, compared with who should have got a mail, one each. */
function tally({ received }: TestSmtpServer, recipients: string[]) {
  const copies = new Map<string, number>();
  for (const { messageId = '' } of received) copies.set(messageId, (copies.get(messageId) ?? 0) + 1);
  const reached = new Set(received.map(recipientOf));
  return {
    mails: copies.size,
    lost: recipients.filter((recipient) => !reached.has(recipient)),
    /** Recognizable by their Message-ID. */
    twice: [...copies.values()].filter((count) => count === 2).length,
    moreOften: [...copies.values()].filter((count) => count > 2).length,
  };
}

const recipientOf = ({ to }: TestSmtpServer['received'][number]) => [to].flat()[0]?.value[0]?.address ?? '';

describe.each(places)('mail of a server on %s', (_name, open) => {
  it('is sent after the next start where the server is killed between the commit and the delivery', async () => {
    await using place = await open();
    const waiting: (() => void)[] = [];
    let isOpen = false;
    await using smtp = await smtpServer({
      onConnect: (_session, done) => (isOpen ? done() : void waiting.push(done)),
    });
    await using first = await place.start(smtp);
    const people = names(8);
    await registerAll(first, people);
    await kill(first);
    isOpen = true;
    for (const greet of waiting) greet();
    await runOut(place);

    await using second = await place.start(smtp);
    await smtp.until(people.length);
    await expectDone(place, second);
    expect(tally(smtp, people.map(addressOf))).toEqual({ mails: people.length, lost: [], twice: 0, moreOften: 0 });
  });

  it('is sent once more, with the same Message-ID, where the server is killed before the delivery is confirmed', async () => {
    await using place = await open();
    await using smtp = await smtpServer();
    await using first = await place.start(smtp);
    const people = names(MAX_SENDING + 3);
    smtp.hold();
    await registerAll(first, people);
    await smtp.until(MAX_SENDING);
    await kill(first);
    smtp.release();
    await runOut(place);

    await using second = await place.start(smtp);
    await smtp.until(people.length + MAX_SENDING);
    await expectDone(place, second);
    expect(tally(smtp, people.map(addressOf))).toEqual({
      mails: people.length,
      lost: [],
      twice: MAX_SENDING,
      moreOften: 0,
    });
  });

  it('is never lost, however often the server is killed under load', async () => {
    await using place = await open();
    await using smtp = await smtpServer();
    let acknowledged = 0;
    for (let life = 0; life < KILLS; life += 1) {
      await using server = await place.start(smtp);
      const live = async (client: number) => {
        for (let round = 0; (await register(server, `p${life}-${client}-${round}`)) === 200; round += 1) {
          acknowledged += 1;
          if (acknowledged === ACKNOWLEDGED_PER_LIFE * (life + 1)) server.signal('SIGKILL');
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, (_, client) => live(client)));
      await server.exited;
      await place.quiet();
      await runOut(place);
    }
    const accounts = (await place.sql('select email from users')).map(({ email }) => String(email));
    expect(accounts.length).toBeGreaterThanOrEqual(acknowledged);

    await using last = await place.start(smtp);
    // Not only until everybody has got one: those that are sent once more may be the last.
    await expect.poll(() => place.sql('select recipient from outbox')).toEqual([]);
    await expectDone(place, last);
    const { mails, lost } = tally(smtp, accounts);
    // Nobody got mail without an account, either.
    expect({ mails, lost }).toEqual({ mails: accounts.length, lost: [] });
    // A mail may be among those that are being sent at more than one kill.
    expect(smtp.received.length - mails).toBeLessThanOrEqual(KILLS * MAX_SENDING);
  });

  it('is finished before the server stops', async () => {
    await using place = await open();
    await using smtp = await smtpServer();
    await using first = await place.start(smtp);
    const people = names(MAX_SENDING + 3);
    smtp.hold();
    await registerAll(first, people);
    await smtp.until(MAX_SENDING);
    first.signal('SIGTERM');
    await expect.poll(() => first.output()).toContain('Stopping');
    smtp.release();
    expect(await first.exited).toBe(0);
    // What has not been begun is left to the next.
    expect(await place.sql('select count(*) as count from outbox')).toEqual([{ count: 3 }]);

    await using second = await place.start(smtp);
    await smtp.until(people.length);
    await expectDone(place, second);
    expect(tally(smtp, people.map(addressOf))).toEqual({ mails: people.length, lost: [], twice: 0, moreOften: 0 });
  });

  it('holds up neither requests nor the shutdown where the mail server does not answer', async () => {
    await using place = await open();
    await using smtp = await smtpServer();
    await using first = await place.start(smtp);
    smtp.hold();
    await registerAll(first, names(MAX_SENDING));
    await smtp.until(MAX_SENDING);
    await registerAll(first, names(3, 'later'));
    first.signal('SIGTERM');
    expect(await first.exited).toBe(0);
    expect(first.output()).not.toMatch(/"level":(50|60)/);
    smtp.release();

    await runOut(place);
    await using second = await place.start(smtp);
    await smtp.until(2 * MAX_SENDING + 3);
    await expectDone(place, second);
    expect(tally(smtp, [])).toMatchObject({ mails: MAX_SENDING + 3, twice: MAX_SENDING, moreOften: 0 });
  });
});

describe('two servers on PostgreSQL with one outbox', () => {
  const MAILS = 200;
  const recipients = names(MAILS).map(addressOf);
  const FILL = `insert into outbox (id, recipient, template, data, created_at, attempts, next_attempt_at)
    select 'mail-' || n, 'person' || n || '@example.com', 'password-changed', '{"username":"ada"}', ${Date.now()} + n, 0, 0
    from generate_series(0, ${MAILS - 1}) as n`;

  /** Starts both, and has each send as many mails as it may, which are not confirmed. */
  async function bothSending(place: Place, smtp: TestSmtpServer): Promise<[ServerProcess, ServerProcess]> {
    const servers = await Promise.all([place.start(smtp), place.start(smtp)]);
    smtp.hold();
    await place.sql(FILL);
    await smtp.until(2 * MAX_SENDING);
    return servers;
  }

  it('send each mail once', async () => {
    await using place = await onPostgres();
    await using smtp = await smtpServer();
    const [one, two] = await bothSending(place, smtp);
    smtp.release();
    await smtp.until(MAILS);
    await expectDone(place, one, two);
    expect(tally(smtp, recipients)).toEqual({ mails: MAILS, lost: [], twice: 0, moreOften: 0 });
    expect(smtp.received).toHaveLength(MAILS);
  });

  it('lose none when one is killed, and send only what that one was sending once more', async () => {
    await using place = await onPostgres();
    await using smtp = await smtpServer();
    const [one, two] = await bothSending(place, smtp);
    await kill(one);
    smtp.release();
    await smtp.until(MAILS);
    await expect
      .poll(() => place.sql('select count(*) as count from outbox'), { timeout: 60_000 })
      .toEqual([{ count: MAX_SENDING }]);
    await runOut(place);
    await smtp.until(MAILS + MAX_SENDING);
    await expectDone(place, two);
    expect(tally(smtp, recipients)).toEqual({ mails: MAILS, lost: [], twice: MAX_SENDING, moreOften: 0 });
  });
});
