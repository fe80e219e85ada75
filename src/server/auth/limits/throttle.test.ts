import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openSqlite } from '../../db/sqlite.ts';
import { createLimiters, createThrottle, LIMITS, type Guess } from './throttle.ts';
import { purgeLimits, sqliteLimiters } from '../store/sqlite/limits.ts';
import { anna } from '../store/testing/contract.ts';
import type { Proof } from '../sign-in.ts';

const wrong: Proof = { kind: 'failed', failure: { code: 'invalid_credentials' } };
const right: Proof = {
  kind: 'account',
  account: anna(),
};
const FREE = LIMITS.loginByAccount.points;

// The limiters read Date themselves.
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
    check: (proof: Proof) => async () => {
      checked += 1;
      return proof;
    },
  };
}

const guess = (change: Partial<Guess> = {}): Guess => ({
  email: 'ada@example.com',
  network: '192.0.2.1',
  knownDevice: undefined,
  ...change,
});

const retryAfter = (proof: Proof) =>
  proof.kind === 'failed' && proof.failure.code === 'rate_limited' ? proof.failure.retryAfter : undefined;

describe('password attempts', () => {
  it('allows no more of a thousand concurrent attempts than of a thousand in sequence', async () => {
    for (const atOnce of [true, false]) {
      const { throttle, check, checked } = setUp();
      const attempt = (index: number) => throttle.guess(guess({ network: `192.0.2.${index}` }), check(wrong));
      if (atOnce) await Promise.all(Array.from({ length: 1_000 }, (_, index) => attempt(index)));
      else for (let index = 0; index < 1_000; index += 1) await attempt(index);
      expect(checked()).toBe(FREE + 1);
    }
  });

  it('doubles the wait with each further attempt, up to an hour', async () => {
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

  it('resets the count on the right password, which costs its address nothing', async () => {
    const { throttle, check, checked } = setUp();
    for (let round = 0; round < 20; round += 1) {
      for (let tried = 0; tried < FREE / 2; tried += 1)
        await throttle.guess(guess({ network: `192.0.2.${round}` }), check(wrong));
      expect(await throttle.guess(guess(), check(right))).toEqual(right);
    }
    for (let round = 0; round < 2 * LIMITS.loginByAddress.points; round += 1)
      expect(await throttle.guess(guess(), check(right))).toEqual(right);
    expect(checked()).toBe(20 * (FREE / 2 + 1) + 2 * LIMITS.loginByAddress.points);
  });

  it('limits trying one password on many accounts, by address', async () => {
    const { throttle, check, checked } = setUp();
    for (let account = 0; account < 1_000; account += 1)
      await throttle.guess(guess({ email: `person${account}@example.com` }), check(wrong));
    expect(checked()).toBe(LIMITS.loginByAddress.points);
    pass(LIMITS.loginByAddress.durationSeconds + 1);
    expect(await throttle.guess(guess({ email: 'last@example.com' }), check(wrong))).toEqual(wrong);
  });

  it('counts a known device separately, so that nobody can lock the owner out', async () => {
    const { throttle, check } = setUp();
    for (let tried = 0; tried < 200; tried += 1)
      await throttle.guess(guess({ network: `192.0.2.${tried}` }), check(wrong));
    expect(retryAfter(await throttle.guess(guess({ network: '198.51.100.1' }), check(right)))).toBeGreaterThan(0);
    const owner = guess({ network: '198.51.100.1', knownDevice: 'laptop' });
    expect(await throttle.guess(owner, check(right))).toEqual(right);
    for (let account = 0; account < 200; account += 1)
      await throttle.guess(guess({ network: '198.51.100.1', email: `other${account}@example.com` }), check(wrong));
    expect(await throttle.guess(owner, check(right))).toEqual(right);
  });

  it('limits a stolen device cookie too', async () => {
    const { throttle, check, checked } = setUp();
    for (let tried = 0; tried < 200; tried += 1)
      await throttle.guess(guess({ network: `192.0.2.${tried}`, knownDevice: 'laptop' }), check(wrong));
    expect(checked()).toBe(FREE + 1);
  });

  it('counts all known devices of an account together, so that collecting them does not help', async () => {
    const { throttle, check, checked } = setUp();
    const { points, durationSeconds } = LIMITS.knownDevices;
    const attack = async () => {
      for (let tried = 0; tried < 3 * points; tried += 1)
        await throttle.guess(guess({ network: `192.0.2.${tried}`, knownDevice: `device ${tried % 50}` }), check(wrong));
    };
    await attack();
    // Those that remain known, and what an unknown browser is allowed.
    expect(checked()).toBe(points + FREE + 1);
    expect(await throttle.guess(guess({ email: 'bob@example.com', knownDevice: 'phone' }), check(right))).toEqual(
      right,
    );
    pass(durationSeconds + 1);
    await attack();
    expect(checked()).toBe(2 * (points + FREE + 1) + 1);
  });

  it('takes the owner for an unknown browser while known devices are limited', async () => {
    const { throttle, check } = setUp();
    for (let tried = 0; tried < LIMITS.knownDevices.points; tried += 1)
      await throttle.guess(guess({ knownDevice: `device ${tried}` }), check(wrong));
    const owner = guess({ network: '198.51.100.1', knownDevice: 'laptop' });
    for (let round = 0; round < 2 * LIMITS.loginByAddress.points; round += 1)
      expect(await throttle.guess(owner, check(right))).toEqual(right);
    for (let account = 0; account < LIMITS.loginByAddress.points; account += 1)
      await throttle.guess(guess({ network: owner.network, email: `other${account}@example.com` }), check(wrong));
    expect(retryAfter(await throttle.guess(owner, check(right)))).toBeGreaterThan(0);
    expect(await throttle.guess({ ...owner, network: '198.51.100.2' }, check(right))).toEqual(right);
  });

  it('counts only wrong passwords against the known devices', async () => {
    const { throttle, check } = setUp();
    const { points } = LIMITS.knownDevices;
    const busy: Proof = { kind: 'failed', failure: { code: 'overloaded', retryAfter: 5 } };
    const fault = new Error('The threads did not start.');
    for (let round = 0; round < points; round += 1) {
      await throttle.guess(guess({ knownDevice: 'phone' }), check(right));
      await throttle.guess(guess({ knownDevice: 'phone' }), check(busy));
      const failing = throttle.guess(guess({ knownDevice: 'phone' }), () => Promise.reject(fault));
      await expect(failing).rejects.toBe(fault);
    }
    const stolen = (tried: number) => guess({ network: `192.0.2.${tried}`, knownDevice: 'stolen' });
    for (let tried = 0; tried < points; tried += 1) await throttle.guess(stolen(tried), check(wrong));
    await Promise.all(Array.from({ length: 5 * points }, (_, tried) => throttle.guess(stolen(tried), check(wrong))));
    // By now, an unknown browser has to wait.
    expect(retryAfter(await throttle.guess(guess({ network: '198.51.100.1' }), check(right)))).toBeGreaterThan(0);
    expect(await throttle.guess(guess({ knownDevice: 'laptop' }), check(right))).toEqual(right);
  });

  it('does not count an attempt refused as overloaded', async () => {
    const { throttle, check } = setUp();
    const busy: Proof = { kind: 'failed', failure: { code: 'overloaded', retryAfter: 5 } };
    for (let tried = 0; tried < 3 * LIMITS.loginByAddress.points; tried += 1)
      expect(await throttle.guess(guess(), check(busy))).toEqual(busy);
    expect(await throttle.guess(guess(), check(right))).toEqual(right);
  });

  it('does not count an attempt whose check failed', async () => {
    const { throttle, check } = setUp();
    const fault = new Error('The threads did not start.');
    for (let tried = 0; tried < 3 * LIMITS.loginByAddress.points; tried += 1)
      await expect(throttle.guess(guess(), () => Promise.reject(fault))).rejects.toBe(fault);
    expect(await throttle.guess(guess(), check(right))).toEqual(right);
  });

  it('gives back the turn of an attempt that was not made', async () => {
    const { throttle, check } = setUp();
    for (let tried = 0; tried < FREE + 3; tried += 1) {
      await throttle.guess(guess(), check(wrong));
      pass(LIMITS.backoff.maxSeconds);
    }
    const busy: Proof = { kind: 'failed', failure: { code: 'overloaded', retryAfter: 5 } };
    const refusedMeanwhile = async () => {
      expect(retryAfter(await throttle.guess(guess(), check(right)))).toBeGreaterThan(0);
      return busy;
    };
    expect(await throttle.guess(guess(), refusedMeanwhile)).toEqual(busy);
    const fault = new Error('The threads did not start.');
    await expect(throttle.guess(guess(), () => Promise.reject(fault))).rejects.toBe(fault);
    expect(await throttle.guess(guess(), check(wrong))).toEqual(wrong);
    // Nor has the wait grown.
    expect(retryAfter(await throttle.guess(guess(), check(right)))).toBe(LIMITS.backoff.firstSeconds * 2 ** 3);
  });

  it('gives back no turn of another attempt', async () => {
    const { throttle, check } = setUp();
    for (let tried = 0; tried < FREE - 1; tried += 1) await throttle.guess(guess(), check(wrong));
    await throttle.guess(guess(), async () => {
      expect(await throttle.guess(guess(), check(wrong))).toEqual(wrong);
      return { kind: 'failed', failure: { code: 'overloaded', retryAfter: 5 } };
    });
    expect(retryAfter(await throttle.guess(guess(), check(right)))).toBe(LIMITS.backoff.firstSeconds);
  });

  it('keeps counting across a restart', async () => {
    const { database, throttle, check, checked } = setUp();
    for (let tried = 0; tried < FREE; tried += 1) await throttle.guess(guess(), check(wrong));
    const restarted = createThrottle(sqliteLimiters(database));
    for (let tried = 0; tried < 100; tried += 1) await restarted.guess(guess(), check(wrong));
    expect(checked()).toBe(FREE + 1);
  });

  it('stores no email in plain text, and purges expired counters', async () => {
    const { database, throttle, check } = setUp();
    await throttle.guess(guess(), check(wrong));
    const rows = () => database.db.$client.prepare('select key from rate_limits').all();
    expect(rows()).toHaveLength(2);
    expect(JSON.stringify(rows())).not.toContain('ada');
    const purge = purgeLimits(database);
    expect(await purge(Date.now(), 10)).toBe(0);
    pass(LIMITS.loginByAccount.durationSeconds + 1);
    expect([await purge(Date.now(), 1), await purge(Date.now(), 10), rows()]).toEqual([1, 1, []]);
  });
});

describe('limits', () => {
  it('never waits for the disk', async () => {
    const database = openSqlite(':memory:');
    let isWithoutFsync = false;
    const writes: string[] = [];
    database.db.$client.function('note', (change) => void writes.push(`${String(change)} ${isWithoutFsync}`));
    for (const change of ['INSERT', 'UPDATE', 'DELETE'])
      database.db.$client.exec(
        `CREATE TEMP TRIGGER note_${change} AFTER ${change} ON main.rate_limits BEGIN SELECT note('${change}'); END`,
      );
    const limiters = sqliteLimiters({
      ...database,
      withoutFsync(run) {
        isWithoutFsync = true;
        try {
          return database.withoutFsync(run);
        } finally {
          isWithoutFsync = false;
        }
      },
    });
    const throttle = createThrottle(limiters);
    for (let tried = 0; tried <= FREE; tried += 1) await throttle.guess(guess(), async () => wrong);
    pass(LIMITS.backoff.maxSeconds);
    await throttle.guess(guess(), async () => right);
    expect(new Set(writes)).toEqual(new Set(['INSERT true', 'UPDATE true', 'DELETE true']));
  });

  it.each(['register', 'refreshBySession', 'refreshRefused', 'logoutBySession', 'logoutWithoutSession'] as const)(
    'limits %s',
    async (name) => {
      const { throttle } = setUp();
      for (let call = 0; call < LIMITS[name].points; call += 1)
        expect(await throttle[name]('somebody')).toBeUndefined();
      expect(await throttle[name]('somebody')).toEqual({
        kind: 'failed',
        failure: { code: 'rate_limited', retryAfter: expect.any(Number) },
      });
      expect(await throttle[name]('somebody else')).toBeUndefined();
    },
  );

  it('counts for features by name and key, across restarts, separately from the kernel', async () => {
    const { database, throttle } = setUp();
    const limit = { points: 2, durationSeconds: 60 };
    const refused = { kind: 'failed', failure: { code: 'rate_limited', retryAfter: 60 } };
    const limiter = createLimiters(sqliteLimiters(database));
    for (let call = 0; call < 3; call += 1) expect(await throttle.register('ada')).toBeUndefined();
    expect(await limiter('register', limit)('ada')).toBeUndefined();
    expect(await limiter('register', limit)('ada')).toBeUndefined();
    expect(await limiter('register', limit)('ada')).toEqual(refused);
    expect(await limiter('register', limit)('bob')).toBeUndefined();
    expect(await limiter('invitations', limit)('ada')).toBeUndefined();
    expect(await createLimiters(sqliteLimiters(database))('register', limit)('ada')).toEqual(refused);
    pass(61);
    expect(await limiter('register', limit)('ada')).toBeUndefined();
  });
});
