import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openSqlite } from '../../db/sqlite.ts';
import { createThrottle, LIMITS, type Guess } from './throttle.ts';
import { purgeLimits, sqliteLimiters } from '../store/sqlite/limits.ts';
import type { Failed } from '../sessions/sessions.ts';

const wrong: Failed = { failure: { code: 'invalid_credentials' } };
const FREE = LIMITS.loginByAccount.points;

// The limiters read the time from Date themselves.
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2030, 0, 1) }));
afterEach(() => void vi.useRealTimers());

const pass = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000);

function setUp() {
  const database = openSqlite(':memory:');
  let checked = 0;
  return {
    database,
    throttle: createThrottle(sqliteLimiters(database)),
    checked: () => checked,
    check: (result: Failed | { user: string }) => async () => {
      checked += 1;
      return result;
    },
  };
}

const guess = (change: Partial<Guess> = {}): Guess => ({
  email: 'ada@example.com',
  network: '192.0.2.1',
  knownDevice: undefined,
  ...change,
});

const retryAfter = (result: object) =>
  'failure' in result && (result as Failed).failure.code === 'rate_limited'
    ? (result as { failure: { retryAfter: number } }).failure.retryAfter
    : undefined;

describe('guessing a password', () => {
  test('a thousand at once get no more tries than a thousand in a row', async () => {
    for (const atOnce of [true, false]) {
      const { throttle, check, checked } = setUp();
      const attempt = (index: number) => throttle.guess(guess({ network: `192.0.2.${index}` }), check(wrong));
      if (atOnce) await Promise.all(Array.from({ length: 1_000 }, (_, index) => attempt(index)));
      else for (let index = 0; index < 1_000; index += 1) await attempt(index);
      expect(checked()).toBe(FREE + 1);
    }
  });

  test('each further try waits twice as long, up to an hour', async () => {
    const { throttle, check } = setUp();
    for (let tried = 0; tried <= FREE; tried += 1) expect(await throttle.guess(guess(), check(wrong))).toEqual(wrong);
    const waits = [];
    for (let round = 0; round < 9; round += 1) {
      const wait = retryAfter(await throttle.guess(guess(), check(wrong))) ?? 0;
      waits.push(wait);
      pass(wait - 1);
      expect(retryAfter(await throttle.guess(guess(), check(wrong)))).toBe(1);
      pass(1);
      expect(await throttle.guess(guess(), check(wrong))).toEqual(wrong);
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
  });

  test('the right password forgets the wrong ones, and costs its address nothing', async () => {
    const { throttle, check, checked } = setUp();
    for (let round = 0; round < 20; round += 1) {
      for (let tried = 0; tried < FREE / 2; tried += 1)
        await throttle.guess(guess({ network: `192.0.2.${round}` }), check(wrong));
      expect(await throttle.guess(guess(), check({ user: 'ada' }))).toEqual({ user: 'ada' });
    }
    for (let round = 0; round < 2 * LIMITS.loginByAddress.points; round += 1)
      expect(await throttle.guess(guess(), check({ user: 'ada' }))).toEqual({ user: 'ada' });
    expect(checked()).toBe(20 * (FREE / 2 + 1) + 2 * LIMITS.loginByAddress.points);
  });

  test('one password for many accounts meets the limit of the address', async () => {
    const { throttle, check, checked } = setUp();
    for (let account = 0; account < 1_000; account += 1)
      await throttle.guess(guess({ email: `person${account}@example.com` }), check(wrong));
    expect(checked()).toBe(LIMITS.loginByAddress.points);
    pass(LIMITS.loginByAddress.duration + 1);
    expect(await throttle.guess(guess({ email: 'last@example.com' }), check(wrong))).toEqual(wrong);
  });

  test('nobody can keep the owner out: a known device has a count of its own', async () => {
    const { throttle, check } = setUp();
    for (let tried = 0; tried < 200; tried += 1)
      await throttle.guess(guess({ network: `192.0.2.${tried}` }), check(wrong));
    expect(
      retryAfter(await throttle.guess(guess({ network: '198.51.100.1' }), check({ user: 'ada' }))),
    ).toBeGreaterThan(0);
    const owner = guess({ network: '198.51.100.1', knownDevice: 'laptop' });
    expect(await throttle.guess(owner, check({ user: 'ada' }))).toEqual({ user: 'ada' });
    for (let account = 0; account < 200; account += 1)
      await throttle.guess(guess({ network: '198.51.100.1', email: `other${account}@example.com` }), check(wrong));
    expect(await throttle.guess(owner, check({ user: 'ada' }))).toEqual({ user: 'ada' });
  });

  test('a stolen device is limited too', async () => {
    const { throttle, check, checked } = setUp();
    for (let tried = 0; tried < 200; tried += 1)
      await throttle.guess(guess({ network: `192.0.2.${tried}`, knownDevice: 'laptop' }), check(wrong));
    expect(checked()).toBe(FREE + 1);
  });

  test('what was too busy to be tried does not count', async () => {
    const { throttle, check } = setUp();
    const busy: Failed = { failure: { code: 'overloaded', retryAfter: 5 } };
    for (let tried = 0; tried < 3 * LIMITS.loginByAddress.points; tried += 1)
      expect(await throttle.guess(guess(), check(busy))).toEqual(busy);
    expect(await throttle.guess(guess(), check({ user: 'ada' }))).toEqual({ user: 'ada' });
  });

  test('a restart forgets nothing', async () => {
    const { database, throttle, check, checked } = setUp();
    for (let tried = 0; tried < FREE; tried += 1) await throttle.guess(guess(), check(wrong));
    const restarted = createThrottle(sqliteLimiters(database));
    for (let tried = 0; tried < 100; tried += 1) await restarted.guess(guess(), check(wrong));
    expect(checked()).toBe(FREE + 1);
  });

  test('no email is kept in plain, and what is over is purged', async () => {
    const { database, throttle, check } = setUp();
    await throttle.guess(guess(), check(wrong));
    const rows = () => database.db.$client.prepare('select key from rate_limits').all();
    expect(rows()).toHaveLength(2);
    expect(JSON.stringify(rows())).not.toContain('ada');
    const purge = purgeLimits(database);
    expect(await purge(Date.now(), 10)).toBe(0);
    pass(LIMITS.loginByAccount.duration + 1);
    expect([await purge(Date.now(), 1), await purge(Date.now(), 10), rows()]).toEqual([1, 1, []]);
  });
});

test('counting never waits for the disk', async () => {
  const database = openSqlite(':memory:');
  let isRelaxed = false;
  const writes: string[] = [];
  database.db.$client.function('note', (change) => void writes.push(`${String(change)} ${isRelaxed}`));
  for (const change of ['INSERT', 'UPDATE', 'DELETE'])
    database.db.$client.exec(
      `CREATE TEMP TRIGGER note_${change} AFTER ${change} ON main.rate_limits BEGIN SELECT note('${change}'); END`,
    );
  const limiters = sqliteLimiters({
    ...database,
    relaxed(run) {
      isRelaxed = true;
      try {
        return database.relaxed(run);
      } finally {
        isRelaxed = false;
      }
    },
  });
  const throttle = createThrottle(limiters);
  for (let tried = 0; tried <= FREE; tried += 1) await throttle.guess(guess(), async () => wrong);
  pass(LIMITS.backoff.most);
  await throttle.guess(guess(), async () => ({ user: 'ada' }));
  expect(new Set(writes)).toEqual(new Set(['INSERT true', 'UPDATE true', 'DELETE true']));
});

test.each(['register', 'refreshBySession', 'refreshRefused', 'logoutBySession', 'logoutOfNone'] as const)(
  '%s has its limit',
  async (name) => {
    const { throttle } = setUp();
    for (let call = 0; call < LIMITS[name].points; call += 1) expect(await throttle[name]('somebody')).toBeUndefined();
    expect(await throttle[name]('somebody')).toEqual({
      failure: { code: 'rate_limited', retryAfter: expect.any(Number) },
    });
    expect(await throttle[name]('somebody else')).toBeUndefined();
  },
);
