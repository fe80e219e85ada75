import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openPostgres, type PostgresDatabase } from '../../../db/postgres.ts';
import type { TestDatabase } from '../../../testing/postgres.ts';
import { testDatabase } from '../../../testing/test-database.ts';
import { createThrottle, LIMITS } from '../../limits/throttle.ts';
import type { Proof } from '../../sign-in.ts';
import { postgresAudit } from './audit.ts';
import { postgresLimiters, purgeLimits } from './limits.ts';

let place: TestDatabase;
let databases: readonly [PostgresDatabase, PostgresDatabase];
beforeAll(async () => {
  place = await testDatabase();
  databases = [await openPostgres(place.url), await openPostgres(place.url)];
});
afterAll(async () => {
  for (const { close } of databases) await close();
  await place[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await databases[0].db.execute('delete from rate_limits');
  await databases[0].db.execute('delete from audit_events');
});

describe('limits on PostgreSQL', () => {
  it('count concurrent password attempts of two servers together', async () => {
    const throttles = databases.map((database) => createThrottle(postgresLimiters(database)));
    let checks = 0;
    const check = async (): Promise<Proof> => {
      checks += 1;
      return { kind: 'failed', failure: { code: 'invalid_credentials' } };
    };
    const guess = { email: 'ada@example.com', network: '192.0.2.1', knownDevice: undefined };
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => throttles[i % 2]!.guess(guess, check)));
    // The free attempts, and the one whose turn it is afterwards.
    const allowed = LIMITS.loginByAccount.points + 1;
    expect(checks).toBe(allowed);
    expect(answers.filter((answer) => answer.kind === 'failed' && answer.failure.code === 'rate_limited')).toHaveLength(
      40 - allowed,
    );
  });

  it('start anew after their duration, and can be returned', async () => {
    const limiter = postgresLimiters(databases[0])('test', { points: 1, duration: 60 });
    const consume = () =>
      limiter.consume('key').then(
        () => 'allowed',
        () => 'refused',
      );
    expect([await consume(), await consume()]).toEqual(['allowed', 'refused']);
    await databases[0].db.execute('update rate_limits set expire = 1');
    expect(await consume()).toBe('allowed');
    await limiter.reward('key', 1);
    expect([await consume(), await consume()]).toEqual(['allowed', 'refused']);
  });

  it('are purged once they have expired, the oldest first and at most so many', async () => {
    await databases[0].db.execute(
      `insert into rate_limits values ('c', 1, 3), ('a', 1, 1), ('b', 1, 2), ('never', 1, null)`,
    );
    const purge = purgeLimits(databases[0]);
    expect(await purge(3, 1)).toBe(1);
    const keys = async () =>
      (await databases[0].db.execute<{ key: string }>('select key from rate_limits order by key')).rows.map(
        ({ key }) => key,
      );
    expect(await keys()).toEqual(['b', 'c', 'never']);
    expect(await purge(3, 10)).toBe(1);
    expect(await keys()).toEqual(['c', 'never']);
  });
});

describe('the audit on PostgreSQL', () => {
  it('keeps events until they are purged, at most so many at once', async () => {
    const audit = postgresAudit(databases[0]);
    const event = { type: 'signed_in', userId: 'ada', ip: '192.0.2.1', userAgent: 'Firefox' } as const;
    for (const at of [1, 2, 3]) await audit.write({ ...event, at });
    expect(await audit.purge(3, 1)).toBe(1);
    expect(await audit.purge(3, 10)).toBe(1);
    const { rows } = await databases[0].db.execute('select * from audit_events');
    expect(rows).toMatchObject([
      {
        at: '3',
        type: 'signed_in',
        user_id: 'ada',
        session_id: null,
        ip: '192.0.2.1',
        user_agent: 'Firefox',
        detail: null,
      },
    ]);
  });
});
