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
  type Event,
  type HostileStep,
  type ModelDatabase,
  type Request,
  type TheftStep,
} from './testing/rotation.model.ts';

/*
 * What must hold of the session protocol whatever the network, the clocks, the power supply and a thief do, searched for
 * counterexamples. A failure prints the shortest history that was found, told step by step.
 */

/** Histories that each property goes through: as many as fit into some seconds. */
const RUNS = 600;
/** Of a search that has found something: shrinking it takes its time. In milliseconds. */
const TIMEOUT = 120_000;

/** Within the time that an honest request may take; its ends above all. */
const moment = fc.oneof(fc.constantFrom(0, 0, 1_000, 25_000, 25_000), fc.integer({ min: 0, max: 25_000 }));
/** Long enough for something to be over: a rest, an access token, a refresh token. */
const pause = fc.constantFrom(30_000, MINUTE - 1, MINUTE + 1, 70_001, 10 * MINUTE, 16 * MINUTE, 45 * MINUTE, HOUR - 1);
const gap = fc.oneof({ weight: 2, arbitrary: moment }, { weight: 1, arbitrary: pause });
const tab = fc.nat(1);
const server = fc.nat(1);
/** As far apart as clocks may be, or not at all. */
const skews = fc.constantFrom<readonly [number, number]>([0, 0], [-5_000, 5_000], [5_000, -5_000]);
const delay = fc.oneof({ weight: 5, arbitrary: moment }, { weight: 1, arbitrary: fc.constant('never' as const) });
const again = fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: moment });

const wait = fc.record({ do: fc.constant('wait' as const), ms: gap });
const pick = fc.nat(3);

const request = (...whats: Request['what'][]) =>
  fc.record({ what: fc.constantFrom(...whats), gap, tab, server, there: delay, back: delay, again });

/** What happens now and then, in the histories that have it. */
const rare = {
  entering: { weight: 2, arbitrary: request('login', 'logout') },
  cutting: {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('cut' as const), gap, writes: fc.integer({ min: 1, max: 6 }) }),
  },
  purging: { weight: 1, arbitrary: fc.record({ what: fc.constant('purge' as const), gap, server }) },
} satisfies Record<string, fc.WeightedArbitrary<Event>>;

function histories(...also: (keyof typeof rare)[]): fc.Arbitrary<Event[]> {
  const ordinary = { weight: 10, arbitrary: request('refresh', 'refresh', 'call') };
  const event: fc.Arbitrary<Event> = fc.oneof(ordinary, ...also.map((name) => rare[name]));
  return fc.array(event, { minLength: 1, maxLength: 20, size: 'max' });
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
      fc.asyncProperty(skews, histories(), async (skews, events) => void (await liveThrough(db, { skews }, events))),
    ));

  test('by power cuts that take the last rotations along', () =>
    holds(
      fc.asyncProperty(
        skews,
        histories('cutting'),
        async (skews, events) => void (await liveThrough(db, { skews }, events)),
      ),
    ));

  test('by purging', () =>
    holds(
      fc.asyncProperty(
        skews,
        histories('purging'),
        async (skews, events) => void (await liveThrough(db, { skews }, events)),
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
        async (skews, events) => void (await liveThrough(db, { skews }, events)),
      ),
    ),
);

test(
  'a token older than one first used more than WINDOW ago ends the session, whoever comes with it',
  { timeout: TIMEOUT },
  () => {
    const step: fc.Arbitrary<HostileStep> = fc.oneof(
      { weight: 1, arbitrary: wait },
      { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('refresh', 'refresh', 'call'), pick, server }) },
    );
    const steps = fc.array(step, { minLength: 1, maxLength: 30, size: 'max' });
    return holds(fc.asyncProperty(skews, steps, (skews, steps) => tryEverything(db, { skews }, steps)));
  },
);

test('a thief and the owner cannot both go on', { timeout: TIMEOUT }, () => {
  const who = fc.constantFrom('owner' as const, 'thief' as const);
  const step: fc.Arbitrary<TheftStep> = fc.oneof(
    { weight: 3, arbitrary: wait },
    { weight: 1, arbitrary: fc.constant({ do: 'steal' }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('refresh'), who, server, lost: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('call'), who, server }) },
  );
  const steps = fc.array(step, { minLength: 1, maxLength: 30, size: 'max' });
  return holds(fc.asyncProperty(skews, steps, (skews, steps) => steal(db, { skews }, steps)));
});

test('the database has one row per session, and no part of any token', { timeout: TIMEOUT }, () =>
  holds(
    fc.asyncProperty(skews, histories('entering'), async (skews, events) => {
      const { checkDatabase } = await liveThrough(db, { skews }, events);
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
      fc.asyncProperty(histories('entering', 'purging'), async (events) => {
        const { history } = await liveThrough(shared, {}, events);
        expect(history).toEqual((await liveThrough(db, {}, events)).history);
      }),
      RUNS / 10,
    ),
  );
});

describe('WINDOW', () => {
  // The longest that can honestly lie between two copies of a generation: one is issued at once, by the server whose
  // clock is behind, and stored at the last moment; just before that another tab reads the old cookie, and is answered
  // at its own last moment by the server whose clock is ahead.
  const slowest: Event[] = [
    { what: 'refresh', gap: 16 * MINUTE, tab: 0, server: 0, there: 0, back: 25_000 },
    { what: 'refresh', gap: 25_000, tab: 1, server: 1, there: 25_000, back: 0 },
    { what: 'call', gap: 1, tab: 0, server: 0, there: 0, back: 0 },
    { what: 'call', gap: 25_000, tab: 1, server: 1, there: 0, back: 0 },
    { what: 'refresh', gap: 0, tab: 1, server: 1, there: 0, back: 0 },
  ];
  const skews = [-5_000, 5_000] as const;

  test('is long enough for the slowest honest person', () => liveThrough(db, { skews }, slowest));

  test('may not be a millisecond shorter', () =>
    expect(liveThrough(db, { skews, window: policy.window - 1 }, slowest)).rejects.toThrow(
      'An honest person was logged out.',
    ));
});
