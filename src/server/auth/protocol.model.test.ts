import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { liveThrough, MINUTE, openModelDatabase, type ModelDatabase, type Step } from './protocol.model.ts';

const waiting = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(1, 1_000, 5_000, 10_000, 15_000, 20_000, 24_000, 25_000) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 25_000 }) },
  { weight: 2, arbitrary: fc.constantFrom(30_000, 50_000, 59_999, MINUTE, MINUTE + 1, 70_001, 80_000) },
  { weight: 2, arbitrary: fc.constantFrom(10 * MINUTE, 16 * MINUTE, 45 * MINUTE, 60 * MINUTE - 1) },
);
const tab = fc.nat(2);
const server = fc.nat(1);
const pick = fc.nat(3);
const what = fc.constantFrom('refresh', 'refresh', 'refresh', 'call', 'call');

const ordinary = [
  { weight: 6, arbitrary: fc.record({ do: fc.constant('wait'), ms: waiting }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('send'), what, tab, server }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('process'), pick }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('deliver'), pick }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('exchange'), what, tab, server }) },
];
const leaving = {
  weight: 1,
  arbitrary: fc.record({
    do: fc.constantFrom('send', 'exchange'),
    what: fc.constantFrom('login', 'logout'),
    tab,
    server,
  }),
};
const cutting = { weight: 2, arbitrary: fc.record({ do: fc.constant('cut'), back: fc.nat(6) }) };
const purging = { weight: 1, arbitrary: fc.record({ do: fc.constant('purge'), server }) };

const steps = (...kinds: fc.WeightedArbitrary<unknown>[]) =>
  fc.array(fc.oneof(...ordinary, ...kinds), { minLength: 5, maxLength: 60, size: 'max' }) as fc.Arbitrary<Step[]>;
const skew = fc.constantFrom(-5_000, 0, 5_000);

let db: ModelDatabase;
beforeAll(async () => {
  db = await openModelDatabase([':memory:']);
});
afterAll(() => db.close());

describe('x', () => {
  test('plain', { timeout: 300_000 }, async () => {
    const t = performance.now();
    let n = 0;
    await fc.assert(
      fc.asyncProperty(fc.tuple(skew, skew), steps(), async (s, st) => {
        n++;
        await liveThrough(db, s, st);
      }),
      { numRuns: 2000 },
    );
    process.stdout.write(`plain ${n} ${(performance.now() - t) / n}\n`);
  });
  test('leaving', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(skew, skew), steps(leaving), async (s, st) => {
        await liveThrough(db, s, st);
      }),
      { numRuns: 2000 },
    );
  });
  test('cutting', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(skew, skew), steps(cutting, leaving), async (s, st) => {
        await liveThrough(db, s, st);
      }),
      { numRuns: 2000 },
    );
  });
  test('purging', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(skew, skew), steps(purging, leaving), async (s, st) => {
        await liveThrough(db, s, st);
      }),
      { numRuns: 2000 },
    );
  });
  test('all', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(skew, skew), steps(purging, cutting, leaving), async (s, st) => {
        await liveThrough(db, s, st);
      }),
      { numRuns: 2000 },
    );
  });
  void expect;
});
