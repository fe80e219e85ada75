import { describe, expect, it } from 'vitest';
import { openPostgres } from '../../db/postgres.ts';
import { openSqlite, type SqliteDatabase } from '../../db/sqlite.ts';
import { testDatabase } from '../../testing/test-database.ts';
import type { DurableLimiter } from '../limits/throttle.ts';
import type { AuthStore } from './auth-store.ts';
import type { AuditStore } from './open.ts';
import type { PeopleStore } from './people.ts';
import { postgresAudit } from './postgres/audit.ts';
import { postgresStore } from './postgres/auth-store.ts';
import { postgresPeople } from './postgres/people.ts';
import { postgresLimiters, purgeLimits as postgresPurgeLimits } from './postgres/limits.ts';
import { sqliteAudit } from './sqlite/audit.ts';
import { sqliteStore } from './sqlite/auth-store.ts';
import { sqlitePeople } from './sqlite/people.ts';
import { purgeLimits as sqlitePurgeLimits, sqliteLimiters } from './sqlite/limits.ts';
import { accessClaims, anna, bert, newSession, policy, refreshClaims, START } from './testing/contract.ts';

/** Rows of each table: PostgreSQL reads a small one from end to end, whatever indexes it has. */
const ROWS = 20_000;

interface Verbs {
  store: AuthStore;
  auditStore: AuditStore;
  people: PeopleStore;
  durableLimiter: DurableLimiter;
  purgeLimits(now: number, limit: number): Promise<number>;
}

/** Calls everything that takes a request's time or grows with the number of rows. */
async function callEveryVerb({ store, auditStore, people, durableLimiter, purgeLimits }: Verbs): Promise<void> {
  const later = START + policy.reuseIntervalMs * 2;
  await store.findTaken('Anna', 'anna@example.com');
  await store.createAccount(anna(), { session: newSession(), replacing: 'row1' });
  await store.createAccount(bert());
  await store.createSession({ session: newSession({ id: 'second' }), replacing: 'session' }, anna());
  await store.findAccountByEmail('anna@example.com');
  await store.replacePasswordHash('anna', 'h1', 'h2');
  await store.authenticate(accessClaims(1, START, { sessionId: 'second' }), later, policy);
  await store.redeem(refreshClaims(1, START, { sessionId: 'second' }), later, policy);
  await store.endSession('second', 'revoked', later);
  await store.purgeSessions(10, 200);
  await store.findAccount('anna');
  await store.liveSessions('anna', later);
  await store.setAuthenticatedAt('session', later);
  const link = { id: 'link', purpose: 'test', userId: 'anna', data: {}, createdAt: later, expiresAt: later + 1 };
  await store.createLink(link, []);
  await store.findLink('link');
  await store.changeAccount({
    userId: 'anna',
    now: later,
    link: 'link',
    session: 'second',
    set: { username: 'Anna.B', email: 'new@example.com' },
    endSessions: { except: 'second' },
    revokeLinks: ['email-change'],
    newLink: { ...link, id: 'new' },
  });
  await store.createLink({ ...link, id: 'of nobody', userId: null }, []);
  await store.createAccountWithLink(
    { ...bert(), id: 'carl', username: 'carl', email: 'carl@example.com' },
    'of nobody',
  );
  await store.purgeLinks(10, 200);
  await store.sessionsOf('anna');
  await store.linksOf('anna');
  await store.mailsOf('anna');
  await store.changeAccount({ userId: 'anna', now: later, session: 'second', delete: true });
  await store.changeAccount({ userId: 'anna', now: later, delete: true });
  await auditStore.write({ type: 'signed_in', at: START, ip: undefined, userAgent: undefined });
  await auditStore.ofUser('anna', 0, 200);
  await auditStore.page({ limit: 50 });
  await auditStore.page({ type: 'signed_in', from: 1, to: later, limit: 50 });
  await auditStore.page({ userId: 'row1', after: { at: later, id: 1 }, limit: 50 });
  await people.byUsername({ prefix: '', after: undefined, limit: 50 });
  await people.byUsername({ prefix: 'user1', after: 'user15', limit: 50 });
  await people.byEmail({ prefix: 'user1', after: undefined, limit: 50 });
  await people.byEmail({ prefix: 'user1', after: 'user15', limit: 50 });
  await people.lastSeenAt('row1');
  await auditStore.purge(10, 200);
  const limiter = durableLimiter('test', { points: 1, duration: 1 });
  await limiter.consume('key');
  await limiter.get('key');
  await limiter.delete('key');
  await purgeLimits(10, 200);
}

/** Fills each table; the nth row has the time n. `numbers` is a table with the column n. */
const fill = (numbers: string, confirmed: string) => [
  `insert into users (id, username, email, password_hash, password_changed_at, role, created_at)
     select 'row' || n, 'user' || n, 'user' || n || '@example.com', 'hash', n, 'user', n from ${numbers}`,
  `insert into sessions
     (id, user_id, generation, issued_at, confirmed, created_at, last_seen_at, authenticated_at, remember, expires_at)
     select 'row' || n, 'row' || n, 1, n, ${confirmed}, n, n, n, ${confirmed}, n from ${numbers}`,
  `insert into rate_limits select 'row' || n, 1, n from ${numbers}`,
  `insert into audit_events (at, type, user_id) select n, 'signed_in', 'row' || n from ${numbers}`,
  `insert into links select 'row' || n, 'email-verification', 'row' || n, '{}', n, n from ${numbers}`,
  `insert into outbox select 'row' || n, 'row' || n, 'row@example.com', 'new-device', '{}', null, n, 0, n from ${numbers}`,
  'analyze',
];

const statementCount = (plans: Record<string, string>) => Object.keys(plans).length;

/** The pages that admins read, in the order of an index: sorting would read every match first. */
function pagesOf(plans: Record<string, string>): [string, string][] {
  const pages = Object.entries(plans).filter(
    ([source]) => /order by .* limit/.test(source) && source.includes('username'),
  );
  expect(pages).toHaveLength(7);
  return pages;
}

describe('the plans of the verbs', () => {
  it('read no whole table on SQLite', async () => {
    const database = openSqlite(':memory:');
    const { $client: client } = database.db;
    const numbers = `(with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ${ROWS}) select n from numbers)`;
    for (const statement of fill(numbers, '1')) client.exec(statement);
    const plans: Record<string, string> = {};
    const prepare = client.prepare.bind(client);
    const prepareAndExplain = ((source: string) => {
      const parameters = source
        .split('?')
        .slice(1)
        .map(() => null);
      plans[source] = JSON.stringify(prepare(`explain query plan ${source}`).all(...parameters));
      return prepare(source);
    }) as SqliteDatabase['db']['$client']['prepare'];
    Object.assign(client, { prepare: prepareAndExplain });
    await callEveryVerb({
      store: sqliteStore(database),
      auditStore: sqliteAudit(database),
      people: sqlitePeople(database),
      durableLimiter: sqliteLimiters(database),
      purgeLimits: sqlitePurgeLimits(database),
    });
    database.close();
    expect(statementCount(plans)).toBeGreaterThan(10);
    // "SCAN CONSTANT ROW" reads nothing, and the newest events are at the end of an index.
    const whole = /SCAN (?!CONSTANT|audit_events USING INDEX audit_events_at")/;
    expect(Object.entries(plans).filter(([, plan]) => whole.test(plan))).toEqual([]);
    expect(pagesOf(plans).filter(([, plan]) => plan.includes('TEMP B-TREE'))).toEqual([]);
  });

  it('read no whole table on PostgreSQL', async () => {
    await using place = await testDatabase();
    const database = await openPostgres(place.url);
    await using _closing = { [Symbol.asyncDispose]: () => database.close() };
    const { $client: pool } = database.db;
    for (const statement of fill(`generate_series(1, ${ROWS}) as n`, 'true')) await pool.query(statement);
    const plans: Record<string, string> = {};
    const query = pool.query.bind(pool) as (config: unknown, values?: unknown[]) => Promise<{ rows: unknown[] }>;
    Object.assign(pool, {
      async query(config: { text: string; values?: unknown[] }, values = config.values) {
        const { rows } = await query(`explain (costs off) ${config.text}`, values);
        plans[config.text] = JSON.stringify(rows);
        return query(config, values);
      },
    });
    await callEveryVerb({
      store: postgresStore(database),
      auditStore: postgresAudit(database),
      people: postgresPeople(database),
      durableLimiter: postgresLimiters(database),
      purgeLimits: postgresPurgeLimits(database),
    });
    expect(statementCount(plans)).toBeGreaterThan(10);
    expect(Object.entries(plans).filter(([, plan]) => plan.includes('Seq Scan'))).toEqual([]);
    expect(pagesOf(plans).filter(([, plan]) => /\bSort\b/.test(plan))).toEqual([]);
  });
});
