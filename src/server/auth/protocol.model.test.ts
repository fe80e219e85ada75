import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  HOUR,
  liveThrough,
  MINUTE,
  openModelDatabase,
  policy,
  steal,
  tryEverything,
  type HostileStep,
  type ModelDatabase,
  type Step,
  type TheftStep,
} from './protocol.model.ts';

/*
 * What must hold of the session protocol whatever the network, the clocks, the power supply and a thief do, searched for
 * counterexamples. A failure prints the shortest history that was found, told step by step.
 */

/** Histories that each property goes through: as many as fit into some seconds. */
const RUNS = 1_000;
/** Of a search that has found something: shrinking it takes its time. In milliseconds. */
const TIMEOUT = 120_000;

/** Short enough for requests to be under way on both sides of it. */
const moment = fc.oneof(
  fc.constantFrom(1, 1_000, 10_000, 15_000, 20_000, 24_000, 25_000),
  fc.integer({ min: 0, max: 25_000 }),
);
/** Long enough for something to be over: a rest, an access token, a refresh token. */
const pause = fc.constantFrom(
  30_000,
  MINUTE - 1,
  MINUTE,
  MINUTE + 1,
  70_001,
  10 * MINUTE,
  16 * MINUTE,
  45 * MINUTE,
  HOUR - 1,
);
const wait = (ms: fc.Arbitrary<number>) => fc.record({ do: fc.constant('wait' as const), ms });
const tab = fc.nat(1);
const server = fc.nat(1);
const pick = fc.nat(2);
const what = fc.constantFrom('refresh' as const, 'refresh' as const, 'call' as const);
const skew = fc.constantFrom(-5_000, 0, 5_000);
const skews = fc.tuple(skew, skew);

/** What happens again and again. */
const ordinary: fc.WeightedArbitrary<Step>[] = [
  { weight: 4, arbitrary: wait(moment) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('send' as const), what, tab, server }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('process' as const), pick }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('deliver' as const), pick }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('exchange' as const), what, tab, server }) },
];
/** What happens now and then, in the histories that have it. */
const rare = {
  entering: {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('send' as const, 'exchange' as const),
      what: fc.constantFrom('login' as const, 'logout' as const),
      tab,
      server,
    }),
  },
  cutting: {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('cut' as const), back: fc.integer({ min: 1, max: 6 }) }),
  },
  purging: { weight: 1, arbitrary: fc.record({ do: fc.constant('purge' as const), server }) },
} satisfies Record<string, fc.WeightedArbitrary<Step>>;

/** Histories of an honest person: bursts, in which requests overtake each other, with pauses between them. */
function histories(...also: (keyof typeof rare)[]): fc.Arbitrary<Step[]> {
  const step: fc.Arbitrary<Step> = fc.oneof(...ordinary, ...also.map((name) => rare[name]));
  const burst = fc.tuple(wait(pause), fc.array(step, { maxLength: 14, size: 'max' }));
  return fc.array(burst, { minLength: 1, maxLength: 4, size: 'max' }).map((bursts) => bursts.flat(2));
}

let db: ModelDatabase;
beforeAll(async () => {
  db = await openModelDatabase([':memory:']);
});
afterAll(() => db.close());

function holds<Args extends [unknown, ...unknown[]]>(property: fc.IAsyncProperty<Args>, numRuns = RUNS) {
  return fc.assert(property, { numRuns });
}

describe('an honest person is never logged out', { timeout: TIMEOUT }, () => {
  test('by a network that loses, repeats, delays and reorders, by several tabs, or by servers whose clocks differ', () =>
    holds(
      fc.asyncProperty(skews, histories(), async (skews, steps) => void (await liveThrough(db, { skews }, steps))),
    ));

  test('by power cuts that take the last rotations along', () =>
    holds(
      fc.asyncProperty(
        skews,
        histories('cutting'),
        async (skews, steps) => void (await liveThrough(db, { skews }, steps)),
      ),
    ));

  test('by purging', () =>
    holds(
      fc.asyncProperty(
        skews,
        histories('purging'),
        async (skews, steps) => void (await liveThrough(db, { skews }, steps)),
      ),
    ));
});

test(
  'logging out wins: no request under way, and no power cut, leaves a token that can be used',
  { timeout: TIMEOUT },
  () =>
    holds(
      fc.asyncProperty(
        skews,
        histories('entering', 'cutting'),
        async (skews, steps) => void (await liveThrough(db, { skews }, steps)),
      ),
    ),
);

test(
  'a token older than one first used more than WINDOW ago ends the session, whoever comes with it',
  { timeout: TIMEOUT },
  () => {
    const step: fc.Arbitrary<HostileStep> = fc.oneof(
      { weight: 1, arbitrary: wait(fc.oneof(moment, pause)) },
      { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('refresh', 'refresh', 'call'), pick, server }) },
    );
    const steps = fc.array(step, { minLength: 1, maxLength: 30, size: 'max' });
    return holds(fc.asyncProperty(skews, steps, (skews, steps) => tryEverything(db, { skews }, steps)));
  },
);

test('a thief and the owner cannot both go on', { timeout: TIMEOUT }, () => {
  const who = fc.constantFrom('owner' as const, 'thief' as const);
  const step: fc.Arbitrary<TheftStep> = fc.oneof(
    { weight: 3, arbitrary: wait(fc.oneof(moment, pause)) },
    { weight: 1, arbitrary: fc.constant({ do: 'steal' }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('refresh'), who, server, lost: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('call'), who, server }) },
  );
  const steps = fc.array(step, { minLength: 1, maxLength: 30, size: 'max' });
  return holds(fc.asyncProperty(skews, steps, (skews, steps) => steal(db, { skews }, steps)));
});

test('the database has one row per session, and no part of any token', { timeout: TIMEOUT }, () =>
  holds(
    fc.asyncProperty(skews, histories('entering'), async (skews, steps) => {
      const { checkDatabase } = await liveThrough(db, { skews }, steps);
      checkDatabase();
    }),
    RUNS / 10,
  ),
);

describe('two servers on one database', () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-model-'));
  let shared: ModelDatabase;
  beforeAll(async () => {
    const file = join(folder, 'model.db');
    shared = await openModelDatabase([file, file]);
  });
  afterAll(() => {
    shared.close();
    rmSync(folder, { recursive: true });
  });

  test('behave as one', { timeout: TIMEOUT }, () =>
    holds(
      fc.asyncProperty(histories('entering', 'purging'), async (steps) => {
        const { history } = await liveThrough(shared, {}, steps);
        expect(history).toEqual((await liveThrough(db, {}, steps)).history);
      }),
      RUNS / 10,
    ),
  );
});

describe('WINDOW', () => {
  // The longest that can honestly lie between two copies of a generation: one is issued at once, by the server whose
  // clock is behind, and stored at the last moment; just before that another tab reads the old cookie, and is answered
  // at its own last moment by the server whose clock is ahead.
  const worst: Step[] = [
    { do: 'wait', ms: 16 * MINUTE },
    { do: 'send', what: 'refresh', tab: 0, server: 0 },
    { do: 'process', pick: 0 },
    { do: 'wait', ms: 25_000 },
    { do: 'send', what: 'refresh', tab: 1, server: 1 },
    { do: 'deliver', pick: 0 },
    { do: 'exchange', what: 'call', tab: 0, server: 0 },
    { do: 'wait', ms: 25_000 },
    { do: 'process', pick: 0 },
    { do: 'deliver', pick: 0 },
    { do: 'exchange', what: 'call', tab: 1, server: 1 },
    { do: 'exchange', what: 'refresh', tab: 1, server: 1 },
  ];
  const skews = [-5_000, 5_000] as const;

  test('is long enough for the slowest honest person', () => liveThrough(db, { skews }, worst));

  test('may not be a millisecond shorter', () =>
    expect(liveThrough(db, { skews, window: policy.window - 1 }, worst)).rejects.toThrow(
      'An honest person was logged out.',
    ));
});
