import { beforeEach, afterEach, describe, expect, test } from 'vitest';
import type { Copy, Policy, SessionRow } from '../../sessions/rotation.ts';
import type { Account, AuthStore } from '../auth-store.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export const START = Date.UTC(2030, 0, 1);
export const policy: Policy = { refreshTokenLifetime: 7 * DAY, sessionMaxAge: 30 * DAY, window: MINUTE };

/** One empty database, seen by two servers. Where a database has only one connection, both may be the same. */
export interface StoreUnderTest {
  servers: readonly [AuthStore, AuthStore];
  close(): Promise<void>;
}

export function anna(changes: Partial<Account> = {}): Account {
  return { id: 'anna', username: 'Anna', email: 'anna@example.com', passwordHash: 'h1', createdAt: START, ...changes };
}

export const bert = () => anna({ id: 'bert', username: 'bert', email: 'bert@example.com' });

/** As sessions.ts starts one. */
export function newSession(changes: Partial<SessionRow> = {}): SessionRow {
  return {
    id: 'session',
    userId: 'anna',
    generation: 1,
    issuedAt: START,
    proved: false,
    previousIssuedAt: null,
    createdAt: START,
    lastSeenAt: START,
    expiresAt: START + policy.sessionMaxAge,
    endedAt: null,
    endReason: null,
    userAgent: null,
    ip: null,
    ...changes,
  };
}

export function copyOf(generation: number, date: number, changes: Partial<Copy> = {}): Copy {
  return { sessionId: 'session', userId: 'anna', generation, date, ...changes };
}

/**
 * The cases that every store must pass, each on a database of its own. They look at it through its verbs only.
 * @param open makes an empty database
 */
export function describeAuthStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`AuthStore: ${name}`, () => {
    let world: StoreUnderTest;
    let store: AuthStore;
    let other: AuthStore;

    beforeEach(async () => {
      world = await open();
      [store, other] = world.servers;
    });
    afterEach(() => world.close());

    /** The row as it is stored, seen by the other server. A call of a generation that never was changes nothing. */
    async function stored(id = 'session', userId = 'anna', now = START): Promise<SessionRow | string> {
      const call = { sessionId: id, userId, generation: Number.MAX_SAFE_INTEGER, date: now };
      const found = await other.recognize(call, now, policy);
      return found.kind === 'good' ? found.session : found.reason;
    }

    const redeem = (copy: Copy, now: number) => store.redeem(copy, now, policy);
    const recognize = (call: Copy, now: number) => store.recognize(call, now, policy);

    describe('accounts', () => {
      test('are found by their email as they were created', async () => {
        expect(await store.createAccount(anna())).toEqual({ kind: 'created', replaced: false });
        expect(await other.findAccountByEmail('anna@example.com')).toEqual(anna());
      });

      test('that do not exist are not found', async () => {
        await store.createAccount(anna());
        expect(await store.findAccountByEmail('bert@example.com')).toBeUndefined();
        expect(await store.findAccountByEmail('')).toBeUndefined();
        expect(await store.findAccountByEmail('anna@example_com')).toBeUndefined();
        expect(await store.findAccountByEmail('%')).toBeUndefined();
      });

      test('take a username once, without regard to case, and keep how it was written', async () => {
        await store.createAccount(anna({ username: 'Anna.B' }));
        const second = { ...bert(), username: 'aNNA.b' };
        expect(await store.createAccount(second)).toEqual({ kind: 'username_taken' });
        expect(await store.findAccountByEmail(second.email)).toBeUndefined();
        expect((await store.findAccountByEmail('anna@example.com'))?.username).toBe('Anna.B');
      });

      test('do not take a username for another one by its signs', async () => {
        await store.createAccount(anna({ username: 'anna_b' }));
        expect(await store.createAccount({ ...bert(), username: 'anna.b' })).toEqual({
          kind: 'created',
          replaced: false,
        });
      });

      test('take an email once', async () => {
        await store.createAccount(anna());
        expect(await store.createAccount({ ...bert(), email: 'anna@example.com' })).toEqual({ kind: 'email_taken' });
        expect(await store.findAccountByEmail('anna@example.com')).toEqual(anna());
      });

      test('of which both are taken name the username, be it by one person or by two', async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
        expect(await store.createAccount(anna({ id: 'again' }))).toEqual({ kind: 'username_taken' });
        expect(await store.createAccount(anna({ id: 'mixed', username: 'BERT' }))).toEqual({ kind: 'username_taken' });
      });

      test('created at once under one name are one account', async () => {
        const many = Array.from({ length: 8 }, (_, i) =>
          world.servers[i % 2]!.createAccount(anna({ id: `anna${i}`, username: i % 2 ? 'ANNA' : 'anna' })),
        );
        const outcomes = await Promise.all(many);
        const kinds = outcomes.map(({ kind }) => kind);
        expect(kinds.filter((kind) => kind === 'created')).toHaveLength(1);
        expect(new Set(kinds)).toEqual(new Set(['created', 'username_taken']));
      });
    });

    describe('replacing a password hash', () => {
      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
      });

      test('replaces the one that was checked, of this person only', async () => {
        await store.replacePasswordHash('anna', 'h1', 'h2');
        expect((await other.findAccountByEmail('anna@example.com'))?.passwordHash).toBe('h2');
        expect((await other.findAccountByEmail('bert@example.com'))?.passwordHash).toBe('h1');
      });

      test('leaves one that was set meanwhile', async () => {
        await other.replacePasswordHash('anna', 'h1', 'set meanwhile');
        await store.replacePasswordHash('anna', 'h1', 'h2');
        expect((await store.findAccountByEmail('anna@example.com'))?.passwordHash).toBe('set meanwhile');
      });

      test('of nobody does nothing', async () => {
        await expect(store.replacePasswordHash('nobody', 'h1', 'h2')).resolves.toBeUndefined();
        expect(await store.findAccountByEmail('anna@example.com')).toEqual(anna());
      });
    });

    describe('sessions', () => {
      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
      });

      test('are kept as they were created, and come with the person without the hash', async () => {
        const session = newSession({ userAgent: 'a browser', ip: '::1' });
        await store.createSession(session);
        const user = { id: 'anna', username: 'Anna', email: 'anna@example.com', createdAt: '2030-01-01T00:00:00.000Z' };
        const call = copyOf(2, START);
        expect(await other.recognize(call, START, policy)).toEqual({ kind: 'good', session, user });
      });

      test('of nobody cannot be created', async () => {
        await expect(store.createSession(newSession({ userId: 'nobody' }))).rejects.toThrow();
        expect(await stored('session', 'nobody')).toBe('expired');
      });

      test('take the place of another one in one step', async () => {
        expect(await store.createSession(newSession({ id: 'old' }))).toBe(false);
        expect(await store.createSession(newSession(), 'old')).toBe(true);
        expect(await stored('old')).toBe('revoked');
        expect(await stored()).toEqual(newSession());
      });

      test('may be the first of an account that is created with them, in the place of another one', async () => {
        await store.createSession(newSession({ id: 'old' }));
        const carl = { ...bert(), id: 'carl', username: 'carl', email: 'carl@example.com' };
        const session = newSession({ userId: 'carl' });
        expect(await store.createAccount(carl, { session, inPlaceOf: 'old' })).toEqual({
          kind: 'created',
          replaced: true,
        });
        expect(await other.findAccountByEmail('carl@example.com')).toEqual(carl);
        expect(await stored('session', 'carl')).toEqual(session);
        expect(await stored('old')).toBe('revoked');
      });

      test('and accounts are created together or not at all', async () => {
        await store.createSession(newSession({ id: 'old' }));
        const carl = { ...bert(), id: 'carl', username: 'carl' };
        const session = newSession({ userId: 'carl' });
        expect(await store.createAccount(carl, { session, inPlaceOf: 'old' })).toEqual({ kind: 'email_taken' });
        const broken = newSession({ id: 'old', userId: 'carl' });
        const free = { ...carl, email: 'carl@example.com' };
        await expect(store.createAccount(free, { session: broken, inPlaceOf: 'old' })).rejects.toThrow();
        expect(await store.findAccountByEmail('carl@example.com')).toBeUndefined();
        expect(await stored('session', 'carl')).toBe('expired');
        expect(await stored('old')).toEqual(newSession({ id: 'old' }));
      });

      test('that cannot be created end nothing', async () => {
        await store.createSession(newSession({ id: 'old' }));
        await expect(store.createSession(newSession({ userId: 'nobody' }), 'old')).rejects.toThrow();
        await expect(store.createSession(newSession({ id: 'old' }), 'old')).rejects.toThrow();
        expect(await stored('old')).toEqual(newSession({ id: 'old' }));
      });

      test('may take the place of one of another person, of an ended one, or of none', async () => {
        await store.createSession(newSession({ id: 'old', userId: 'bert' }));
        await store.createSession(newSession({ id: 'second' }), 'old');
        await store.endSession('second', 'reused', START);
        expect(await store.createSession(newSession({ id: 'third' }), 'second')).toBe(false);
        expect(await store.createSession(newSession({ id: 'fourth' }), 'never was')).toBe(false);
        expect(await stored('old', 'bert')).toBe('revoked');
        expect(await stored('second')).toBe('reused');
        expect(await stored('third')).toMatchObject({ id: 'third' });
        expect(await stored('fourth')).toMatchObject({ id: 'fourth' });
      });
    });

    describe('ending a session', () => {
      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createSession(newSession());
        await store.createSession(newSession({ id: 'other' }));
      });

      test('ends it for every server, for refreshing and for calling, and no other one', async () => {
        expect(await store.endSession('session', 'revoked', START)).toBe(true);
        const ended = { kind: 'ended', reason: 'revoked', now: false };
        for (const server of world.servers) {
          expect(await server.redeem(copyOf(1, START), START, policy)).toEqual(ended);
          expect(await server.recognize(copyOf(1, START), START, policy)).toEqual(ended);
        }
        expect(await stored('other')).toMatchObject({ id: 'other' });
      });

      test('is done by the first, whose reason stays', async () => {
        expect(await store.endSession('session', 'reused', START)).toBe(true);
        expect(await other.endSession('session', 'revoked', START + 1)).toBe(false);
        expect(await stored()).toBe('reused');
      });

      test('at once by many is done by one', async () => {
        const many = Array.from({ length: 8 }, (_, i) => world.servers[i % 2]!.endSession('session', 'revoked', START));
        expect((await Promise.all(many)).filter(Boolean)).toHaveLength(1);
      });

      test('that never was does nothing', async () => {
        expect(await store.endSession('never was', 'revoked', START)).toBe(false);
      });
    });

    describe('redeeming', () => {
      const later = START + 15 * MINUTE;

      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
        await store.createSession(newSession());
      });

      test('answers the row as it was written, and the person', async () => {
        const redeemed = await redeem(copyOf(1, START), later);
        const progress = { generation: 2, issuedAt: later, proved: false, previousIssuedAt: START, lastSeenAt: later };
        expect(redeemed).toMatchObject({ kind: 'fresh', user: { id: 'anna' }, session: newSession(progress) });
        expect(await stored()).toEqual(newSession(progress));
      });

      test('answers a rest with what it proved, and writes that', async () => {
        await redeem(copyOf(1, START), later);
        const now = later + 10;
        const progress = { generation: 2, issuedAt: later + 1, proved: true, previousIssuedAt: START, lastSeenAt: now };
        const redeemed = await redeem(copyOf(2, later + 1), now);
        expect(redeemed).toMatchObject({ kind: 'rest', session: newSession(progress) });
        expect(await stored()).toEqual(newSession(progress));
      });

      test('that has nothing to write leaves the row untouched', async () => {
        await redeem(copyOf(1, START), later);
        const before = await stored();
        expect(await redeem(copyOf(1, START), later + MINUTE)).toMatchObject({ kind: 'fresh', session: before });
        expect(await stored()).toEqual(before);
        await redeem(copyOf(2, later), later);
        const proved = await stored();
        expect(await redeem(copyOf(2, later), later + MINUTE)).toMatchObject({ kind: 'rest', session: proved });
        expect(await stored()).toEqual(proved);
      });

      test('a later generation than the row has adopts it', async () => {
        expect(await redeem(copyOf(7, later), later + 2 * MINUTE)).toMatchObject({ kind: 'fresh' });
        expect(await stored()).toMatchObject({ generation: 8, previousIssuedAt: later, proved: false });
      });

      test('a superseded copy ends the session, and only the first is told that it was just now', async () => {
        for (const [generation, date] of [
          [1, START],
          [2, later],
        ] as const)
          await redeem(copyOf(generation, date), later + (generation - 1) * 15 * MINUTE);
        const ended = { kind: 'ended', reason: 'reused' };
        expect(await redeem(copyOf(1, START), later + DAY)).toEqual({ ...ended, now: true });
        expect(await redeem(copyOf(1, START), later + DAY)).toEqual({ ...ended, now: false });
        expect(await stored()).toBe('reused');
      });

      test('an ended session changes nothing and does not bring it back', async () => {
        await store.endSession('session', 'revoked', START);
        for (const generation of [1, 2, 99])
          expect(await redeem(copyOf(generation, START), later)).toEqual({
            kind: 'ended',
            reason: 'revoked',
            now: false,
          });
        expect(await stored()).toBe('revoked');
      });

      test('does not move the end of the session, and is over at it', async () => {
        const expiresAt = START + policy.sessionMaxAge;
        let date = START;
        for (let generation = 1; generation <= 6; generation++) {
          const now = START + generation * 4 * DAY;
          expect(await redeem(copyOf(generation, date), now)).toMatchObject({ kind: 'fresh', session: { expiresAt } });
          date = now;
        }
        expect(await redeem(copyOf(7, date), expiresAt)).toEqual({ kind: 'ended', reason: 'expired', now: false });
      });

      test('a session that is not there says that it has expired', async () => {
        const copy = copyOf(1, START, { sessionId: 'never was' });
        expect(await redeem(copy, later)).toEqual({ kind: 'ended', reason: 'expired', now: false });
      });

      test('with the name of another person reveals and changes nothing', async () => {
        const before = await stored();
        const foreign = { userId: 'bert' };
        const invalid = { kind: 'ended', reason: 'invalid', now: false };
        for (const generation of [0, 1, 2, 99])
          expect(await redeem(copyOf(generation, START - DAY, foreign), later)).toEqual(invalid);
        expect(await stored()).toEqual(before);
        await store.endSession('session', 'reused', START);
        expect(await redeem(copyOf(1, START, foreign), later)).toEqual(invalid);
      });

      test('one copy many times at once is one rotation, and everybody gets the same generation', async () => {
        const many = Array.from({ length: 20 }, (_, i) =>
          world.servers[i % 2]!.redeem(copyOf(1, START), later + i, policy),
        );
        for (const answer of await Promise.all(many))
          expect(answer).toMatchObject({ kind: 'fresh', session: { generation: 2 } });
        expect(await stored()).toMatchObject({ generation: 2, proved: false, previousIssuedAt: START });
      });

      test('beside an end, in whatever order they are carried out, leaves nothing that can be used', async () => {
        for (let position = 0; position <= 4; position++) {
          const id = `race${position}`;
          await store.createSession(newSession({ id }));
          const racing = Array.from({ length: 5 }, async (_, i) =>
            i === position
              ? other.endSession(id, 'revoked', later)
              : world.servers[i % 2]!.redeem(copyOf(1, START, { sessionId: id }), later, policy),
          );
          await Promise.all(racing);
          for (const generation of [1, 2, 3])
            expect(await redeem(copyOf(generation, later, { sessionId: id }), later)).toMatchObject({
              kind: 'ended',
              reason: 'revoked',
            });
        }
      });
    });

    describe('recognizing', () => {
      const later = START + 5 * MINUTE;

      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
        await store.createSession(newSession());
      });

      test('proves the generation once, with the date of the copy', async () => {
        const proved = { proved: true, issuedAt: START + 1, lastSeenAt: later };
        const session = newSession(proved);
        expect(await recognize(copyOf(1, START + 1), later)).toMatchObject({ kind: 'good', session });
        expect(await stored()).toEqual(session);
        expect(await recognize(copyOf(1, START + 2), later + 1)).toMatchObject({ kind: 'good', session });
        expect(await stored()).toEqual(session);
      });

      test('a token of another generation writes nothing', async () => {
        await redeem(copyOf(1, START), later);
        const before = await stored();
        for (const generation of [1, 3, 99])
          expect(await recognize(copyOf(generation, START), later)).toMatchObject({ kind: 'good', session: before });
        expect(await stored()).toEqual(before);
      });

      test('a token from other hands ends the session, and only the first is told that it was just now', async () => {
        await recognize(copyOf(1, START), later);
        const ended = { kind: 'ended', reason: 'reused' };
        expect(await recognize(copyOf(1, START + MINUTE + 1), later)).toEqual({ ...ended, now: true });
        expect(await recognize(copyOf(1, START), later)).toEqual({ ...ended, now: false });
        expect(await stored()).toBe('reused');
      });

      test('an expired session, or one that is not there, says so', async () => {
        const expired = { kind: 'ended', reason: 'expired', now: false };
        expect(await recognize(copyOf(1, START), START + policy.sessionMaxAge)).toEqual(expired);
        expect(await recognize(copyOf(1, START, { sessionId: 'never was' }), START)).toEqual(expired);
      });

      test('with the name of another person reveals and changes nothing', async () => {
        const before = await stored();
        const invalid = { kind: 'ended', reason: 'invalid', now: false };
        expect(await recognize(copyOf(1, START, { userId: 'bert' }), START)).toEqual(invalid);
        expect(await stored()).toEqual(before);
      });

      test('at once with rotations proves no generation but its own', async () => {
        const racing: Promise<unknown>[] = [];
        for (let i = 0; i < 10; i++) {
          racing.push(world.servers[i % 2]!.recognize(copyOf(1, START), later, policy));
          racing.push(world.servers[(i + 1) % 2]!.redeem(copyOf(1, START), later, policy));
        }
        await Promise.all(racing);
        expect(await stored()).toMatchObject({ generation: 2, proved: false, previousIssuedAt: START });
      });
    });

    describe('purging', () => {
      beforeEach(() => store.createAccount(anna()));

      test('removes what was issued before the given time, and not what was issued at it', async () => {
        await store.createSession(newSession({ id: 'before', issuedAt: START - 1 }));
        await store.createSession(newSession({ id: 'at', issuedAt: START }));
        await store.createSession(newSession({ id: 'after', issuedAt: START + 1 }));
        expect(await store.purgeSessions(START, 10)).toBe(1);
        expect(await stored('before')).toBe('expired');
        expect(await stored('at')).toMatchObject({ id: 'at' });
        expect(await stored('after')).toMatchObject({ id: 'after' });
      });

      test('goes by when the generation was issued: a session that is in use stays, however old it is', async () => {
        await store.createSession(newSession());
        await redeem(copyOf(1, START), START + DAY);
        expect(await store.purgeSessions(START + DAY, 10)).toBe(0);
        expect(await stored()).toMatchObject({ generation: 2 });
      });

      test('removes no more than the limit, and says how many', async () => {
        for (let i = 0; i < 5; i++) await store.createSession(newSession({ id: `s${i}` }));
        expect(await store.purgeSessions(START + 1, 2)).toBe(2);
        expect(await other.purgeSessions(START + 1, 2)).toBe(2);
        expect(await store.purgeSessions(START + 1, 2)).toBe(1);
        expect(await store.purgeSessions(START + 1, 2)).toBe(0);
      });

      test('removes ended sessions too, and they do not come back', async () => {
        await store.createSession(newSession());
        await store.endSession('session', 'revoked', START);
        expect(await store.purgeSessions(START + 1, 10)).toBe(1);
        expect(await redeem(copyOf(1, START), START)).toEqual({ kind: 'ended', reason: 'expired', now: false });
        expect(await redeem(copyOf(2, START), START)).toEqual({ kind: 'ended', reason: 'expired', now: false });
      });

      test('leaves the account', async () => {
        await store.createSession(newSession());
        await store.purgeSessions(START + 1, 10);
        expect(await store.findAccountByEmail('anna@example.com')).toEqual(anna());
      });
    });

    test('answers a ping', async () => {
      await expect(store.ping()).resolves.toBeUndefined();
    });
  });
}
