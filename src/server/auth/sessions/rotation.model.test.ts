import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestDatabase } from '../../testing/postgres.ts';
import { testDatabase } from '../../testing/test-database.ts';
import {
  HOUR,
  liveThrough,
  MINUTE,
  openModelDatabase,
  openModelPostgres,
  policy,
  steal,
  replayTokens,
  type Event,
  type HostileStep,
  type ModelDatabase,
  type Request,
  type TheftStep,
} from './testing/rotation.model.ts';

/*
 * The invariants of the session protocol, whatever the network, the clocks, the power supply and a thief do. A failure
 * prints the shortest counterexample found, step by step.
 */

/** Histories per property; takes a few seconds. */
const RUNS = 600;
/** Shrinking a counterexample takes a while. */
const TIMEOUT_MS = 120_000;

/** Within the time an honest request may take, biased towards the limits. */
const moment = fc.oneof(fc.constantFrom(0, 0, 1_000, 25_000, 25_000), fc.integer({ min: 0, max: 25_000 }));
/** Long enough for something to run out: the reuse interval, an access token, a refresh token. */
const pause = fc.constantFrom(30_000, MINUTE - 1, MINUTE + 1, 70_001, 10 * MINUTE, 16 * MINUTE, 45 * MINUTE, HOUR - 1);
const gap = fc.oneof({ weight: 2, arbitrary: moment }, { weight: 1, arbitrary: pause });
const tab = fc.nat(1);
const server = fc.nat(1);
/** As far apart as clocks may be, or equal. */
const skews = fc.constantFrom<readonly [number, number]>([0, 0], [-5_000, 5_000], [5_000, -5_000]);
const delay = fc.oneof({ weight: 5, arbitrary: moment }, { weight: 1, arbitrary: fc.constant('never' as const) });
const again = fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: moment });

const wait = fc.record({ do: fc.constant('wait' as const), ms: gap });
const pick = fc.nat(3);

const request = (...whats: Request['what'][]) =>
  fc.record({ what: fc.constantFrom(...whats), gap, tab, server, there: delay, back: delay, again });

/** Rare events, for the histories that include them. */
const rare = {
  sessionChanges: { weight: 2, arbitrary: request('login', 'logout') },
  powerCuts: {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('cut' as const), gap, writes: fc.integer({ min: 1, max: 6 }) }),
  },
  purges: { weight: 1, arbitrary: fc.record({ what: fc.constant('purge' as const), gap, server }) },
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

/** Runs honest histories, with some kinds of rare events, against the checks of `liveThrough`. */
const honestHistories = (...also: (keyof typeof rare)[]) =>
  holds(
    fc.asyncProperty(
      skews,
      histories(...also),
      async (skews, events) => void (await liveThrough(db, { skews }, events)),
    ),
  );

describe('an honest person', { timeout: TIMEOUT_MS }, () => {
  it('is never logged out by a bad network, several tabs or clock skew', () => honestHistories());

  it('is never logged out by power cuts that undo the last rotations', () => honestHistories('powerCuts'));

  it('is never logged out by purging', () => honestHistories('purges'));

  it('leaves no usable token after logging out, whatever is in flight and despite power cuts', () =>
    honestHistories('sessionChanges', 'powerCuts'));
});

const hostileStep: fc.Arbitrary<HostileStep> = fc.oneof(
  { weight: 1, arbitrary: wait },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('refresh', 'refresh', 'call'), pick, server }) },
);
const hostileSteps = fc.array(hostileStep, { minLength: 1, maxLength: 30, size: 'max' });

const who = fc.constantFrom('owner' as const, 'thief' as const);
const theftStep: fc.Arbitrary<TheftStep> = fc.oneof(
  { weight: 3, arbitrary: wait },
  { weight: 1, arbitrary: fc.constant({ do: 'steal' }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('refresh'), who, server, lost: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('call'), who, server }) },
);
const theftSteps = fc.array(theftStep, { minLength: 1, maxLength: 30, size: 'max' });

describe('a stolen token', { timeout: TIMEOUT_MS }, () => {
  it('ends the session when a later generation was first used more than the reuse interval ago', () =>
    holds(fc.asyncProperty(skews, hostileSteps, (skews, steps) => replayTokens(db, { skews }, steps))));

  it('does not let both the thief and the owner continue', () =>
    holds(fc.asyncProperty(skews, theftSteps, (skews, steps) => steal(db, { skews }, steps))));
});

describe('the database', () => {
  it('has one row per session and no part of any token', { timeout: TIMEOUT_MS }, () =>
    holds(
      fc.asyncProperty(skews, histories('sessionChanges'), async (skews, events) => {
        const { checkDatabase } = await liveThrough(db, { skews }, events);
        await checkDatabase();
      }),
      RUNS / 10,
    ),
  );
});

describe('two servers on SQLite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-model-'));
  let shared: ModelDatabase;
  beforeAll(async () => {
    const file = join(folder, 'model.db');
    shared = await openModelDatabase([file, file]);
  });
  afterAll(async () => {
    await shared.close();
    rmSync(folder, { recursive: true });
  });

  it('behave like one server', { timeout: TIMEOUT_MS }, () => behavesLikeOneServer(() => shared));
});

describe('two servers on PostgreSQL', { timeout: TIMEOUT_MS }, () => {
  let place: TestDatabase;
  let shared: ModelDatabase;
  beforeAll(async () => {
    place = await testDatabase();
    shared = await openModelPostgres(place.url);
  });
  afterAll(async () => {
    await shared.close();
    await place[Symbol.asyncDispose]();
  });

  it('behave like one server on SQLite', () => behavesLikeOneServer(() => shared));

  it('never log an honest person out, whatever their clocks and the network do', () =>
    holds(
      fc.asyncProperty(
        skews,
        histories('purges'),
        async (skews, events) => void (await liveThrough(shared, { skews }, events)),
      ),
      RUNS / 2,
    ));

  it('leave no usable token after logging out, and no part of one in the database', () =>
    holds(
      fc.asyncProperty(skews, histories('sessionChanges'), async (skews, events) => {
        const { checkDatabase } = await liveThrough(shared, { skews }, events);
        await checkDatabase();
      }),
      RUNS / 2,
    ));

  it('end the session when a later generation was first used more than the reuse interval ago', () =>
    holds(
      fc.asyncProperty(skews, hostileSteps, (skews, steps) => replayTokens(shared, { skews }, steps)),
      RUNS / 2,
    ));

  it('do not let both the thief and the owner continue', () =>
    holds(
      fc.asyncProperty(skews, theftSteps, (skews, steps) => steal(shared, { skews }, steps)),
      RUNS / 2,
    ));
});

function behavesLikeOneServer(shared: () => ModelDatabase) {
  return holds(
    fc.asyncProperty(histories('sessionChanges', 'purges'), async (events) => {
      const { history } = await liveThrough(shared(), {}, events);
      expect(history).toEqual((await liveThrough(db, {}, events)).history);
    }),
    RUNS / 10,
  );
}

describe('the reuse interval', () => {
  // The longest honest distance between two tokens of one generation: the first is issued at once, by the server whose clock
  // is behind, and stored at the last moment. Just before that, another tab reads the old cookie, and is answered at its own
  // last moment by the server whose clock is ahead.
  const slowest: Event[] = [
    { what: 'refresh', gap: 16 * MINUTE, tab: 0, server: 0, there: 0, back: 25_000 },
    { what: 'refresh', gap: 25_000, tab: 1, server: 1, there: 25_000, back: 0 },
    { what: 'call', gap: 1, tab: 0, server: 0, there: 0, back: 0 },
    { what: 'call', gap: 25_000, tab: 1, server: 1, there: 0, back: 0 },
    { what: 'refresh', gap: 0, tab: 1, server: 1, there: 0, back: 0 },
  ];
  const skews = [-5_000, 5_000] as const;

  it('is long enough for the slowest honest person', () => liveThrough(db, { skews }, slowest));

  it('cannot be a millisecond shorter', () =>
    expect(liveThrough(db, { skews, reuseIntervalMs: policy.reuseIntervalMs - 1 }, slowest)).rejects.toThrow(
      'An honest person was logged out.',
    ));
});
