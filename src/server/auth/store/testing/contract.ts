import { beforeEach, afterEach, describe, expect, it } from 'vitest';
import type { AccessClaims, Policy, RefreshClaims, SessionRow } from '../../sessions/rotation.ts';
import type { Account, AccountChange, AuthStore } from '../auth-store.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export const START = Date.UTC(2030, 0, 1);
export const policy: Policy = { refreshTokenLifetimeMs: 7 * DAY, sessionMaxAgeMs: 30 * DAY, reuseIntervalMs: MINUTE };

/** An empty database as two servers see it. Both are the same store where there can be only one connection. */
export interface StoreUnderTest {
  servers: readonly [AuthStore, AuthStore];
  close(): Promise<void>;
}

export function anna(changes: Partial<Account> = {}): Account {
  return {
    id: 'anna',
    username: 'Anna',
    email: 'anna@example.com',
    emailVerifiedAt: null,
    passwordHash: 'h1',
    passwordChangedAt: START,
    role: 'user',
    disabledAt: null,
    createdAt: START,
    ...changes,
  };
}

export const bert = () => anna({ id: 'bert', username: 'bert', email: 'bert@example.com' });

/** A session as `start` in sessions.ts creates it. */
export function newSession(changes: Partial<SessionRow> = {}): SessionRow {
  return {
    id: 'session',
    userId: 'anna',
    generation: 1,
    issuedAt: START,
    confirmed: false,
    previousIssuedAt: null,
    createdAt: START,
    lastSeenAt: START,
    authenticatedAt: START,
    remember: true,
    expiresAt: START + policy.sessionMaxAgeMs,
    endedAt: null,
    endReason: null,
    userAgent: null,
    ip: null,
    ...changes,
  };
}

export function refreshClaims(
  generation: number,
  issuedAt: number,
  changes: Partial<RefreshClaims> = {},
): RefreshClaims {
  return { sessionId: 'session', userId: 'anna', generation, issuedAt, ...changes };
}

export function accessClaims(
  generation: number,
  refreshIssuedAt: number,
  changes: Partial<AccessClaims> = {},
): AccessClaims {
  return { sessionId: 'session', userId: 'anna', generation, refreshIssuedAt, ...changes };
}

/**
 * The contract that every AuthStore must meet, tested through its verbs only. Each test gets a database of its own.
 * @param open creates an empty database; stores without `onMail` write no mail
 */
export function describeAuthStore(name: string, open: (onMail?: () => void) => Promise<StoreUnderTest>): void {
  describe(`AuthStore: ${name}`, () => {
    let world: StoreUnderTest;
    let store: AuthStore;
    let other: AuthStore;

    beforeEach(async () => {
      world = await open();
      [store, other] = world.servers;
    });
    afterEach(() => world.close());

    /**
     * The row as the other server reads it, or why the session is over. A call with a generation that was never issued
     * writes nothing.
     */
    async function stored(id = 'session', userId = 'anna', now = START): Promise<SessionRow | string> {
      const claims = { sessionId: id, userId, generation: Number.MAX_SAFE_INTEGER, refreshIssuedAt: now };
      const found = await other.authenticate(claims, now, policy);
      return found.kind === 'authenticated' ? found.session : found.reason;
    }

    const redeem = (claims: RefreshClaims, now: number) => store.redeem(claims, now, policy);
    const authenticate = (claims: AccessClaims, now: number) => store.authenticate(claims, now, policy);

    describe('accounts', () => {
      it('finds an account by email', async () => {
        expect(await store.createAccount(anna())).toEqual({ kind: 'created', replaced: false });
        expect(await other.findAccountByEmail('anna@example.com')).toEqual(anna());
      });

      it('finds no account that does not exist', async () => {
        await store.createAccount(anna());
        expect(await store.findAccountByEmail('bert@example.com')).toBeUndefined();
        expect(await store.findAccountByEmail('')).toBeUndefined();
        expect(await store.findAccountByEmail('anna@example_com')).toBeUndefined();
        expect(await store.findAccountByEmail('%')).toBeUndefined();
      });

      it('rejects a taken username regardless of case, and keeps it as written', async () => {
        await store.createAccount(anna({ username: 'Anna.B' }));
        const second = { ...bert(), username: 'aNNA.b' };
        expect(await store.createAccount(second)).toEqual({ kind: 'username_taken' });
        expect(await store.findAccountByEmail(second.email)).toBeUndefined();
        expect((await store.findAccountByEmail('anna@example.com'))?.username).toBe('Anna.B');
      });

      it('does not treat characters of a username as wildcards', async () => {
        await store.createAccount(anna({ username: 'anna_b' }));
        expect(await store.createAccount({ ...bert(), username: 'anna.b' })).toEqual({
          kind: 'created',
          replaced: false,
        });
      });

      it('rejects a taken email', async () => {
        await store.createAccount(anna());
        expect(await store.createAccount({ ...bert(), email: 'anna@example.com' })).toEqual({ kind: 'email_taken' });
        expect(await store.findAccountByEmail('anna@example.com')).toEqual(anna());
      });

      it('reports the username when both are taken, by one account or by two', async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
        expect(await store.createAccount(anna({ id: 'again' }))).toEqual({ kind: 'username_taken' });
        expect(await store.createAccount(anna({ id: 'mixed', username: 'BERT' }))).toEqual({ kind: 'username_taken' });
      });

      it('finds out whether a username, in any case, or an email is taken', async () => {
        await store.createAccount(anna());
        expect(await other.findTaken('ANNA', 'bert@example.com')).toBe('username_taken');
        expect(await other.findTaken('ANNA', 'anna@example.com')).toBe('username_taken');
        expect(await other.findTaken('bert', 'anna@example.com')).toBe('email_taken');
        expect(await other.findTaken('bert', 'bert@example.com')).toBeUndefined();
      });

      it('creates one account when several with the same name race', async () => {
        const many = Array.from({ length: 8 }, (_, i) =>
          world.servers[i % 2]!.createAccount(anna({ id: `anna${i}`, username: i % 2 ? 'ANNA' : 'anna' })),
        );
        const outcomes = await Promise.all(many);
        const kinds = outcomes.map(({ kind }) => kind);
        expect(kinds.filter((kind) => kind === 'created')).toHaveLength(1);
        expect(new Set(kinds)).toEqual(new Set(['created', 'username_taken']));
      });
    });

    describe('replacePasswordHash', () => {
      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
      });

      it('replaces the hash of this account only', async () => {
        await store.replacePasswordHash('anna', 'h1', 'h2');
        expect((await other.findAccountByEmail('anna@example.com'))?.passwordHash).toBe('h2');
        expect((await other.findAccountByEmail('bert@example.com'))?.passwordHash).toBe('h1');
      });

      it('keeps a hash that was set in the meantime', async () => {
        await other.replacePasswordHash('anna', 'h1', 'set meanwhile');
        await store.replacePasswordHash('anna', 'h1', 'h2');
        expect((await store.findAccountByEmail('anna@example.com'))?.passwordHash).toBe('set meanwhile');
      });

      it('does nothing for an unknown user', async () => {
        await expect(store.replacePasswordHash('nobody', 'h1', 'h2')).resolves.toBeUndefined();
        expect(await store.findAccountByEmail('anna@example.com')).toEqual(anna());
      });
    });

    describe('createSession', () => {
      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
      });

      it('stores the session, and reads it with the user but not the password hash', async () => {
        const session = newSession({ userAgent: 'a browser', ip: '::1' });
        await store.createSession({ session }, anna());
        const user = {
          id: 'anna',
          username: 'Anna',
          email: 'anna@example.com',
          emailVerified: false,
          role: 'user',
          createdAt: '2030-01-01T00:00:00.000Z',
        };
        const claims = accessClaims(2, START);
        expect(await other.authenticate(claims, START, policy)).toEqual({ kind: 'authenticated', session, user });
      });

      it('answers overtaken for an unknown user', async () => {
        const session = newSession({ userId: 'nobody' });
        expect(await store.createSession({ session }, anna({ id: 'nobody' }))).toEqual({ kind: 'overtaken' });
        expect(await stored('session', 'nobody')).toBe('expired');
      });

      it('ends the session it replaces', async () => {
        expect(await store.createSession({ session: newSession({ id: 'old' }) }, anna())).toEqual({
          kind: 'created',
          replaced: false,
        });
        expect(await store.createSession({ session: newSession(), replacing: 'old' }, anna())).toEqual({
          kind: 'created',
          replaced: true,
        });
        expect(await stored('old')).toBe('revoked');
        expect(await stored()).toEqual(newSession());
      });

      it('creates an account with its first session, replacing another', async () => {
        await store.createSession({ session: newSession({ id: 'old' }) }, anna());
        const carl = { ...bert(), id: 'carl', username: 'carl', email: 'carl@example.com' };
        const session = newSession({ userId: 'carl' });
        expect(await store.createAccount(carl, { session, replacing: 'old' })).toEqual({
          kind: 'created',
          replaced: true,
        });
        expect(await other.findAccountByEmail('carl@example.com')).toEqual(carl);
        expect(await stored('session', 'carl')).toEqual(session);
        expect(await stored('old')).toBe('revoked');
      });

      it('creates both the account and its session or neither', async () => {
        await store.createSession({ session: newSession({ id: 'old' }) }, anna());
        const carl = { ...bert(), id: 'carl', username: 'carl' };
        const session = newSession({ userId: 'carl' });
        expect(await store.createAccount(carl, { session, replacing: 'old' })).toEqual({ kind: 'email_taken' });
        const broken = newSession({ id: 'old', userId: 'carl' });
        const free = { ...carl, email: 'carl@example.com' };
        await expect(store.createAccount(free, { session: broken, replacing: 'old' })).rejects.toThrow();
        expect(await store.findAccountByEmail('carl@example.com')).toBeUndefined();
        expect(await stored('session', 'carl')).toBe('expired');
        expect(await stored('old')).toEqual(newSession({ id: 'old' }));
      });

      it('ends nothing when the session cannot be created', async () => {
        await store.createSession({ session: newSession({ id: 'old' }) }, anna());
        const session = newSession({ userId: 'nobody' });
        expect(await store.createSession({ session, replacing: 'old' }, anna({ id: 'nobody' }))).toEqual({
          kind: 'overtaken',
        });
        await expect(
          store.createSession({ session: newSession({ id: 'old' }), replacing: 'old' }, anna()),
        ).rejects.toThrow();
        expect(await stored('old')).toEqual(newSession({ id: 'old' }));
      });

      it('replaces a session of another user, and accepts one that has ended or does not exist', async () => {
        await store.createSession({ session: newSession({ id: 'old', userId: 'bert' }) }, bert());
        await store.createSession({ session: newSession({ id: 'second' }), replacing: 'old' }, anna());
        await store.endSession('second', 'reused', START);
        expect(
          await store.createSession({ session: newSession({ id: 'third' }), replacing: 'second' }, anna()),
        ).toEqual({
          kind: 'created',
          replaced: false,
        });
        expect(
          await store.createSession({ session: newSession({ id: 'fourth' }), replacing: 'unknown' }, anna()),
        ).toEqual({
          kind: 'created',
          replaced: false,
        });
        expect(await stored('old', 'bert')).toBe('revoked');
        expect(await stored('second')).toBe('reused');
        expect(await stored('third')).toMatchObject({ id: 'third' });
        expect(await stored('fourth')).toMatchObject({ id: 'fourth' });
      });
    });

    describe('endSession', () => {
      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createSession({ session: newSession() }, anna());
        await store.createSession({ session: newSession({ id: 'other' }) }, anna());
      });

      it('ends that session only, for refreshes and calls on every server', async () => {
        expect(await store.endSession('session', 'revoked', START)).toBe(true);
        const ended = { kind: 'ended', reason: 'revoked', byThisCall: false };
        for (const server of world.servers) {
          expect(await server.redeem(refreshClaims(1, START), START, policy)).toEqual(ended);
          expect(await server.authenticate(accessClaims(1, START), START, policy)).toEqual(ended);
        }
        expect(await stored('other')).toMatchObject({ id: 'other' });
      });

      it('keeps the first reason', async () => {
        expect(await store.endSession('session', 'reused', START)).toBe(true);
        expect(await other.endSession('session', 'revoked', START + 1)).toBe(false);
        expect(await stored()).toBe('reused');
      });

      it('reports true to one of several racing calls', async () => {
        const many = Array.from({ length: 8 }, (_, i) => world.servers[i % 2]!.endSession('session', 'revoked', START));
        expect((await Promise.all(many)).filter(Boolean)).toHaveLength(1);
      });

      it('does nothing for an unknown session', async () => {
        expect(await store.endSession('unknown', 'revoked', START)).toBe(false);
      });
    });

    describe('redeem', () => {
      const later = START + 15 * MINUTE;

      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
        await store.createSession({ session: newSession() }, anna());
      });

      it('rotates, and answers the row as written with its user', async () => {
        const redeemed = await redeem(refreshClaims(1, START), later);
        const progress = {
          generation: 2,
          issuedAt: later,
          confirmed: false,
          previousIssuedAt: START,
          lastSeenAt: later,
        };
        expect(redeemed).toMatchObject({ kind: 'issue', user: { id: 'anna' }, session: newSession(progress) });
        expect(await stored()).toEqual(newSession(progress));
      });

      it('keeps the cookie, and writes what the token confirmed', async () => {
        await redeem(refreshClaims(1, START), later);
        const now = later + 10;
        const progress = {
          generation: 2,
          issuedAt: later + 1,
          confirmed: true,
          previousIssuedAt: START,
          lastSeenAt: now,
        };
        const redeemed = await redeem(refreshClaims(2, later + 1), now);
        expect(redeemed).toMatchObject({ kind: 'keep', session: newSession(progress) });
        expect(await stored()).toEqual(newSession(progress));
      });

      it('does not touch the row when there is nothing to write', async () => {
        await redeem(refreshClaims(1, START), later);
        const before = await stored();
        expect(await redeem(refreshClaims(1, START), later + MINUTE)).toMatchObject({ kind: 'issue', session: before });
        expect(await stored()).toEqual(before);
        await redeem(refreshClaims(2, later), later);
        const confirmed = await stored();
        expect(await redeem(refreshClaims(2, later), later + MINUTE)).toMatchObject({
          kind: 'keep',
          session: confirmed,
        });
        expect(await stored()).toEqual(confirmed);
      });

      it('adopts a later generation than the row has', async () => {
        expect(await redeem(refreshClaims(7, later), later + 2 * MINUTE)).toMatchObject({ kind: 'issue' });
        expect(await stored()).toMatchObject({ generation: 8, previousIssuedAt: later, confirmed: false });
      });

      it('ends the session when a superseded token comes back, and tells only the first caller that it did', async () => {
        for (const [generation, date] of [
          [1, START],
          [2, later],
        ] as const)
          await redeem(refreshClaims(generation, date), later + (generation - 1) * 15 * MINUTE);
        const ended = { kind: 'ended', reason: 'reused' };
        expect(await redeem(refreshClaims(1, START), later + DAY)).toEqual({ ...ended, byThisCall: true });
        expect(await redeem(refreshClaims(1, START), later + DAY)).toEqual({ ...ended, byThisCall: false });
        expect(await stored()).toBe('reused');
      });

      it('does not revive an ended session', async () => {
        await store.endSession('session', 'revoked', START);
        for (const generation of [1, 2, 99])
          expect(await redeem(refreshClaims(generation, START), later)).toEqual({
            kind: 'ended',
            reason: 'revoked',
            byThisCall: false,
          });
        expect(await stored()).toBe('revoked');
      });

      it('never moves expiresAt, and refuses from then on', async () => {
        const expiresAt = START + policy.sessionMaxAgeMs;
        let date = START;
        for (let generation = 1; generation <= 6; generation++) {
          const now = START + generation * 4 * DAY;
          expect(await redeem(refreshClaims(generation, date), now)).toMatchObject({
            kind: 'issue',
            session: { expiresAt },
          });
          date = now;
        }
        expect(await redeem(refreshClaims(7, date), expiresAt)).toEqual({
          kind: 'ended',
          reason: 'expired',
          byThisCall: false,
        });
      });

      it('answers expired for an unknown session', async () => {
        const claims = refreshClaims(1, START, { sessionId: 'unknown' });
        expect(await redeem(claims, later)).toEqual({ kind: 'ended', reason: 'expired', byThisCall: false });
      });

      it('reveals and changes nothing when the token names another user', async () => {
        const before = await stored();
        const foreign = { userId: 'bert' };
        const invalid = { kind: 'ended', reason: 'invalid', byThisCall: false };
        for (const generation of [0, 1, 2, 99])
          expect(await redeem(refreshClaims(generation, START - DAY, foreign), later)).toEqual(invalid);
        expect(await stored()).toEqual(before);
        await store.endSession('session', 'reused', START);
        expect(await redeem(refreshClaims(1, START, foreign), later)).toEqual(invalid);
      });

      it('rotates once when many redeem the same token, and answers all with that generation', async () => {
        const many = Array.from({ length: 20 }, (_, i) =>
          world.servers[i % 2]!.redeem(refreshClaims(1, START), later + i, policy),
        );
        for (const answer of await Promise.all(many))
          expect(answer).toMatchObject({ kind: 'issue', session: { generation: 2 } });
        expect(await stored()).toMatchObject({ generation: 2, confirmed: false, previousIssuedAt: START });
      });

      it('leaves nothing usable when it races with endSession, in any order', async () => {
        for (let position = 0; position <= 4; position++) {
          const id = `race${position}`;
          await store.createSession({ session: newSession({ id }) }, anna());
          const racing = Array.from({ length: 5 }, async (_, i) =>
            i === position
              ? other.endSession(id, 'revoked', later)
              : world.servers[i % 2]!.redeem(refreshClaims(1, START, { sessionId: id }), later, policy),
          );
          await Promise.all(racing);
          for (const generation of [1, 2, 3])
            expect(await redeem(refreshClaims(generation, later, { sessionId: id }), later)).toMatchObject({
              kind: 'ended',
              reason: 'revoked',
            });
        }
      });
    });

    describe('authenticate', () => {
      const later = START + 5 * MINUTE;

      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
        await store.createSession({ session: newSession() }, anna());
      });

      it('confirms the generation once, by the issuedAt of the refresh token', async () => {
        const confirmed = { confirmed: true, issuedAt: START + 1, lastSeenAt: later };
        const session = newSession(confirmed);
        expect(await authenticate(accessClaims(1, START + 1), later)).toMatchObject({ kind: 'authenticated', session });
        expect(await stored()).toEqual(session);
        expect(await authenticate(accessClaims(1, START + 2), later + 1)).toMatchObject({
          kind: 'authenticated',
          session,
        });
        expect(await stored()).toEqual(session);
      });

      it('writes nothing for a token of another generation', async () => {
        await redeem(refreshClaims(1, START), later);
        const before = await stored();
        for (const generation of [1, 3, 99])
          expect(await authenticate(accessClaims(generation, START), later)).toMatchObject({
            kind: 'authenticated',
            session: before,
          });
        expect(await stored()).toEqual(before);
      });

      it('ends the session when there are two holders, and tells only the first caller that it did', async () => {
        await authenticate(accessClaims(1, START), later);
        const ended = { kind: 'ended', reason: 'reused' };
        expect(await authenticate(accessClaims(1, START + MINUTE + 1), later)).toEqual({ ...ended, byThisCall: true });
        expect(await authenticate(accessClaims(1, START), later)).toEqual({ ...ended, byThisCall: false });
        expect(await stored()).toBe('reused');
      });

      it('answers expired for an expired or unknown session', async () => {
        const expired = { kind: 'ended', reason: 'expired', byThisCall: false };
        expect(await authenticate(accessClaims(1, START), START + policy.sessionMaxAgeMs)).toEqual(expired);
        expect(await authenticate(accessClaims(1, START, { sessionId: 'unknown' }), START)).toEqual(expired);
      });

      it('reveals and changes nothing when the token names another user', async () => {
        const before = await stored();
        const invalid = { kind: 'ended', reason: 'invalid', byThisCall: false };
        expect(await authenticate(accessClaims(1, START, { userId: 'bert' }), START)).toEqual(invalid);
        expect(await stored()).toEqual(before);
      });

      it('confirms no generation but its own when it races with rotations', async () => {
        const racing: Promise<unknown>[] = [];
        for (let i = 0; i < 10; i++) {
          racing.push(world.servers[i % 2]!.authenticate(accessClaims(1, START), later, policy));
          racing.push(world.servers[(i + 1) % 2]!.redeem(refreshClaims(1, START), later, policy));
        }
        await Promise.all(racing);
        expect(await stored()).toMatchObject({ generation: 2, confirmed: false, previousIssuedAt: START });
      });
    });

    describe('createLink', () => {
      beforeEach(() => store.createAccount(anna()));
      const link = (id: string, userId: string | null, purpose = 'test') => ({
        id,
        purpose,
        userId,
        data: { for: id },
        createdAt: START,
        expiresAt: START + DAY,
      });

      it('replaces the link of the same account and purpose', async () => {
        await store.createLink(link('first', 'anna'), []);
        await store.createLink(link('other', 'anna', 'other'), []);
        await store.createLink(link('second', 'anna'), []);
        expect(await other.findLink('first')).toBeUndefined();
        expect(await other.findLink('second')).toEqual(link('second', 'anna'));
        expect(await other.findLink('other')).toEqual(link('other', 'anna', 'other'));
      });

      it('keeps every link of nobody', async () => {
        await store.createLink(link('first', null), []);
        await store.createLink(link('second', null), []);
        expect(await other.findLink('first')).toEqual(link('first', null));
        expect(await other.findLink('second')).toEqual(link('second', null));
        expect(await store.purgeLinks(START + DAY + 1, 10)).toBe(2);
      });

      it('does nothing for an account that has been deleted, also meanwhile', async () => {
        await Promise.all([
          store.createLink(link('first', 'anna'), []),
          other.changeAccount({ userId: 'anna', now: START, delete: true }),
          store.createLink(link('second', 'anna'), []),
        ]);
        await store.createLink(link('third', 'anna'), []);
        for (const id of ['first', 'second', 'third']) expect(await store.findLink(id)).toBeUndefined();
      });
    });

    describe('createAccountWithLink', () => {
      const link = { id: 'link', purpose: 'test', userId: null, data: {}, createdAt: START, expiresAt: START + DAY };
      beforeEach(() => store.createLink(link, []));

      it('uses the link up', async () => {
        expect(await store.createAccountWithLink(anna(), 'link')).toEqual({ kind: 'created' });
        expect(await other.findAccount('anna')).toEqual(anna());
        expect(await other.findLink('link')).toBeUndefined();
        expect(await store.createAccountWithLink(anna(), 'link')).toEqual({ kind: 'link_invalid' });
        expect(await store.createAccountWithLink(bert(), 'link')).toEqual({ kind: 'link_invalid' });
        expect(await store.findAccount('bert')).toBeUndefined();
      });

      it('creates one account when a link is used several times at once', async () => {
        const many = Array.from({ length: 8 }, (_, i) =>
          world.servers[i % 2]!.createAccountWithLink(
            anna({ id: `anna${i}`, username: `anna${i}`, email: `anna${i}@example.com` }),
            'link',
          ),
        );
        const kinds = (await Promise.all(many)).map(({ kind }) => kind);
        expect(kinds.filter((kind) => kind === 'created')).toHaveLength(1);
        expect(kinds.filter((kind) => kind === 'link_invalid')).toHaveLength(7);
      });

      it('does not take the link of an account, nor an expired one', async () => {
        await store.createAccount(bert());
        await store.createLink({ ...link, id: 'of bert', userId: 'bert' }, []);
        expect(await store.createAccountWithLink(anna(), 'of bert')).toEqual({ kind: 'link_invalid' });
        const late = anna({ createdAt: START + DAY });
        expect(await store.createAccountWithLink(late, 'link')).toEqual({ kind: 'link_invalid' });
        expect(await other.findAccount('anna')).toBeUndefined();
        expect(await other.findLink('of bert')).toBeDefined();
      });

      it('keeps the link where the username or the email is taken', async () => {
        await store.createAccount(anna());
        const names = { username: 'BERT', email: 'anna@example.com' };
        expect(await store.createAccountWithLink({ ...bert(), ...names }, 'link')).toEqual({ kind: 'email_taken' });
        expect(await store.createAccountWithLink({ ...bert(), username: 'ANNA' }, 'link')).toEqual({
          kind: 'username_taken',
        });
        expect(await store.findLink('link')).toEqual(link);
        expect(await store.createAccountWithLink(bert(), 'link')).toEqual({ kind: 'created' });
      });
    });

    describe('changeAccount', () => {
      beforeEach(async () => {
        await store.createAccount(anna());
        await store.createAccount(bert());
      });
      const link = (id: string, userId = 'anna', purpose = 'test') => ({
        id,
        purpose,
        userId,
        data: {},
        createdAt: START,
        expiresAt: START + DAY,
      });
      const change = (changes: Omit<AccountChange, 'userId' | 'now'>, now = START): AccountChange => ({
        userId: 'anna',
        now,
        ...changes,
      });

      it('sets each field alone, and all of them together', async () => {
        const fields: Partial<Account> = {
          username: 'Anna.B',
          email: 'new@example.com',
          emailVerifiedAt: START + 1,
          passwordHash: 'h2',
          passwordChangedAt: START + 2,
          role: 'admin',
        };
        const expected = anna();
        for (const [field, value] of Object.entries(fields)) {
          Object.assign(expected, { [field]: value });
          const changed = { kind: 'changed', account: expected, endedSessions: [] };
          expect(await store.changeAccount(change({ set: { [field]: value } }))).toEqual(changed);
          expect(await other.findAccount('anna')).toEqual(expected);
        }
        const { id: _id, createdAt: _createdAt, ...original } = anna();
        await store.changeAccount({ userId: 'bert', now: START, set: { role: 'admin' } });
        expect(await store.changeAccount(change({ set: original }))).toMatchObject({ kind: 'changed' });
        expect(await other.findAccount('anna')).toEqual(anna());
      });

      it('changes nothing when it is refused', async () => {
        await store.createSession({ session: newSession() }, anna());
        await store.createSession({ session: newSession({ id: 'ended' }) }, anna());
        await store.endSession('ended', 'revoked', START);
        await store.createLink(link('old'), []);
        const all = {
          set: { passwordHash: 'h2' },
          endSessions: {},
          revokeLinks: ['test'],
          newLink: link('new', 'anna', 'other'),
        };
        const refused: [Partial<AccountChange>, string][] = [
          [{ expected: { email: 'former@example.com' } }, 'overtaken'],
          [{ session: 'ended' }, 'overtaken'],
          [{ session: 'unknown' }, 'overtaken'],
          [{ userId: 'nobody' }, 'overtaken'],
          [{ link: 'unknown' }, 'link_invalid'],
          [{ set: { passwordHash: 'h2', username: 'BERT' } }, 'username_taken'],
          [{ set: { passwordHash: 'h2', email: 'bert@example.com' } }, 'email_taken'],
          [{ set: { username: 'bert', email: 'bert@example.com' } }, 'username_taken'],
        ];
        for (const [changes, kind] of refused) {
          expect(await store.changeAccount({ ...change(all), ...changes })).toEqual({ kind });
          expect(await other.findAccount('anna')).toEqual(anna());
          expect(await stored()).toEqual(newSession());
          expect(await other.linksOf('anna')).toEqual([link('old')]);
        }
      });

      it('that only an admin may ask for needs one who still is', async () => {
        await store.createSession({ session: newSession({ id: 'of bert', userId: 'bert' }) }, bert());
        await store.createAccount(anna({ id: 'carl', username: 'carl', email: 'carl@example.com', role: 'admin' }));
        const ask = () => store.changeAccount(change({ session: 'of bert', byAdmin: true, endSessions: {} }));
        const become = (set: Partial<Account>) => store.changeAccount({ userId: 'bert', now: START, set });
        expect(await ask()).toEqual({ kind: 'overtaken' });
        await become({ role: 'admin' });
        expect(await ask()).toMatchObject({ kind: 'changed' });
        await become({ disabledAt: START });
        expect(await ask()).toEqual({ kind: 'overtaken' });
      });

      it('lets one of two admins through who demote each other at the same time', async () => {
        const ids = ['left', 'right'];
        for (const id of ids) {
          await store.createAccount(anna({ id, username: id, email: `${id}@example.com`, role: 'admin' }));
          await store.createSession({ session: newSession({ id, userId: id }) }, anna({ id }));
        }
        await store.createAccount(anna({ id: 'third', username: 'third', email: 'third@example.com', role: 'admin' }));
        const demotions = ['right', 'left'].map((userId, i) =>
          world.servers[i]!.changeAccount({
            userId,
            now: START,
            session: ids[i]!,
            byAdmin: true,
            set: { role: 'user' },
          }),
        );
        expect((await Promise.all(demotions)).map(({ kind }) => kind).toSorted()).toEqual(['changed', 'overtaken']);
      });

      it('lets a person change the case of their own username', async () => {
        expect(await store.changeAccount(change({ set: { username: 'ANNA' } }))).toMatchObject({ kind: 'changed' });
      });

      it('ends all sessions, all but one, or one, of this account only', async () => {
        await store.createSession({ session: newSession({ id: 'of bert', userId: 'bert' }) }, bert());
        for (const id of ['a', 'b', 'c', 'd']) await store.createSession({ session: newSession({ id }) }, anna());
        const ended = async (endSessions: AccountChange['endSessions'] & object) => {
          const changed = await store.changeAccount(change({ endSessions }));
          return changed.kind === 'changed' ? changed.endedSessions.toSorted() : changed.kind;
        };
        expect(await ended({ only: 'of bert' })).toEqual([]);
        expect(await ended({ only: 'a' })).toEqual(['a']);
        expect(await ended({ except: 'b' })).toEqual(['c', 'd']);
        expect(await ended({})).toEqual(['b']);
        expect(await ended({})).toEqual([]);
        expect(await stored('of bert', 'bert')).toMatchObject({ endedAt: null });
      });

      it('revokes the links of the purposes named, and replaces one with a new one', async () => {
        for (const purpose of ['x', 'y', 'z']) await store.createLink(link(purpose, 'anna', purpose), []);
        await store.createLink(link('of bert', 'bert', 'x'), []);
        await store.changeAccount(change({ revokeLinks: ['x'], newLink: link('y2', 'anna', 'y') }));
        const ids = (await other.linksOf('anna')).map(({ id }) => id);
        expect(ids.toSorted()).toEqual(['y2', 'z']);
        expect(await other.linksOf('bert')).toHaveLength(1);
      });

      it('uses a link up once, however many use it at the same time', async () => {
        await store.createLink(link('link'), []);
        const many = Array.from({ length: 8 }, (_, i) =>
          world.servers[i % 2]!.changeAccount(change({ link: 'link', set: { passwordHash: `by ${i}` } })),
        );
        const kinds = (await Promise.all(many)).map(({ kind }) => kind);
        expect(kinds.filter((kind) => kind === 'changed')).toHaveLength(1);
        expect(kinds.filter((kind) => kind === 'link_invalid')).toHaveLength(7);
      });

      it('gives a username to one of two who change theirs to it at the same time', async () => {
        const set = { username: 'Wanted' };
        const both = await Promise.all([
          store.changeAccount(change({ set })),
          other.changeAccount({ userId: 'bert', now: START, set: { username: 'WANTED' } }),
        ]);
        expect(both.map(({ kind }) => kind).toSorted()).toEqual(['changed', 'username_taken']);
      });

      it.each<[string, Omit<AccountChange, 'userId' | 'now'>]>([
        ['demote', { set: { role: 'user' } }],
        ['disable', { set: { disabledAt: START } }],
        ['delete', { delete: true }],
      ])('keeps one admin when two %s each other at the same time', async (_name, changes) => {
        const promoted = { role: 'admin', disabledAt: null } as const;
        for (let round = 0; round < 10; round += 1) {
          const ids = ['left', 'right'];
          for (const id of ids) {
            if ((await store.findAccount(id)) === undefined)
              await store.createAccount(anna({ id, username: id, email: `${id}@example.com` }));
            await store.changeAccount({ userId: id, now: START, set: promoted });
          }
          const both = await Promise.all(
            ids.map((userId, i) => world.servers[i]!.changeAccount({ userId, now: START, ...changes })),
          );
          expect(both.map(({ kind }) => kind).toSorted()).toEqual(['changed', 'last_admin']);
        }
      });

      it.each<[string, Omit<AccountChange, 'userId' | 'now'>]>([
        ['a change of the password', { set: { passwordHash: 'h2', passwordChangedAt: START + 1 }, endSessions: {} }],
        ['disabling', { set: { disabledAt: START }, endSessions: {} }],
        ['deletion', { delete: true }],
      ])('leaves no session of a sign-in that races with %s', async (_name, changes) => {
        const racing = Array.from({ length: 8 }, (_, i) =>
          i === 3
            ? other.changeAccount(change(changes))
            : world.servers[i % 2]!.createSession({ session: newSession({ id: `s${i}` }) }, anna()),
        );
        await Promise.all(racing);
        expect(await store.liveSessions('anna', START)).toEqual([]);
      });

      it('deletes the account, and leaves its sessions ended and without origin', async () => {
        await store.createSession({ session: newSession({ userAgent: 'a browser', ip: '::1' }) }, anna());
        await store.createLink(link('link'), []);
        expect(await store.changeAccount(change({ delete: true }))).toEqual({
          kind: 'changed',
          account: anna(),
          endedSessions: ['session'],
        });
        expect(await other.findAccount('anna')).toBeUndefined();
        expect(await other.findLink('link')).toBeUndefined();
        expect(await other.sessionsOf('anna')).toEqual([newSession({ endedAt: START, endReason: 'revoked' })]);
        const ended = { kind: 'ended', reason: 'revoked', byThisCall: false };
        expect(await redeem(refreshClaims(1, START), START)).toEqual(ended);
        expect(await authenticate(accessClaims(1, START), START)).toEqual(ended);
        expect(await store.changeAccount(change({ delete: true }))).toEqual({ kind: 'overtaken' });
      });

      it('refuses an invalid link before a taken username or email, and keeps a link that it refuses for those', async () => {
        await store.createLink(link('link'), []);
        const names = [{ username: 'BERT' }, { email: 'bert@example.com' }];
        for (const set of names)
          expect(await store.changeAccount(change({ link: 'unknown', set }))).toEqual({ kind: 'link_invalid' });
        expect(await store.changeAccount(change({ link: 'link', set: names[0]! }))).toEqual({ kind: 'username_taken' });
        expect(await store.changeAccount(change({ link: 'link', set: names[1]! }))).toEqual({ kind: 'email_taken' });
        expect(await other.findLink('link')).toEqual(link('link'));
        expect(await other.findAccount('anna')).toEqual(anna());
      });

      it('does not take the link of somebody else, nor an expired one', async () => {
        await store.createLink(link('foreign', 'bert'), []);
        await store.createLink(link('own'), []);
        const set = { emailVerifiedAt: START };
        const invalid = { kind: 'link_invalid' };
        expect(await store.changeAccount(change({ link: 'foreign', set }))).toEqual(invalid);
        expect(await store.changeAccount(change({ link: 'own', set }, START + DAY))).toEqual(invalid);
        expect(await other.findAccount('anna')).toEqual(anna());
        expect(await other.findLink('foreign')).toEqual(link('foreign', 'bert'));
        expect(await store.changeAccount(change({ link: 'own', set }, START + DAY - 1))).toMatchObject({
          kind: 'changed',
        });
      });
    });

    describe('the mails of a change', () => {
      let announced = 0;
      const mail = { userId: 'anna', recipient: 'anna@example.com', template: 'password-changed', data: {} };
      const changed = { userId: 'anna', now: START, set: { passwordHash: 'h2' }, mails: [mail] };

      beforeEach(async () => {
        announced = 0;
        await world.close();
        world = await open(() => (announced += 1));
        [store, other] = world.servers;
        await store.createAccount(anna());
      });

      it('are written with it and announced once', async () => {
        expect(await store.changeAccount(changed)).toMatchObject({ kind: 'changed' });
        expect(await other.mailsOf('anna')).toMatchObject([{ ...mail, linkId: null, attempts: 0, createdAt: START }]);
        expect(announced).toBe(1);
      });

      it('are not written when it is refused', async () => {
        expect(await store.changeAccount({ ...changed, link: 'unknown' })).toEqual({ kind: 'link_invalid' });
        expect(await store.changeAccount({ ...changed, expected: { passwordHash: 'h0' } })).toEqual({
          kind: 'overtaken',
        });
        await store.createAccount(bert());
        const taken = { ...changed, set: { username: 'bert' } };
        expect(await store.changeAccount(taken)).toEqual({ kind: 'username_taken' });
        expect(await other.mailsOf('anna')).toEqual([]);
        expect(announced).toBe(0);
      });

      it('are skipped where no mail is sent', async () => {
        await world.close();
        world = await open();
        [store, other] = world.servers;
        await store.createAccount(anna());
        expect(await store.changeAccount(changed)).toMatchObject({ kind: 'changed' });
        expect(await other.mailsOf('anna')).toEqual([]);
        expect(announced).toBe(0);
      });
    });

    it('lists live sessions, the one used last first, and records a new proof in one of them', async () => {
      await store.createAccount(anna());
      for (const [id, lastSeenAt] of [
        ['middle', START + 2],
        ['last', START + 3],
        ['first', START + 1],
        ['ended', START + 4],
      ] as const)
        await store.createSession({ session: newSession({ id, lastSeenAt }) }, anna());
      await store.createSession({ session: newSession({ id: 'expired', expiresAt: START }) }, anna());
      await store.endSession('ended', 'revoked', START);
      await store.setAuthenticatedAt('first', START + 9);
      const live = await other.liveSessions('anna', START);
      expect(live.map(({ id, authenticatedAt }) => [id, authenticatedAt])).toEqual([
        ['last', START],
        ['middle', START],
        ['first', START + 9],
      ]);
    });

    it('purges expired links up to the limit, and keeps those that expire at the given time', async () => {
      await store.createAccount(anna());
      for (const [i, expiresAt] of [START - 2, START - 1, START].entries()) {
        const common = { purpose: `p${i}`, userId: 'anna', data: {}, createdAt: START - DAY };
        await store.createLink({ id: `l${i}`, ...common, expiresAt }, []);
      }
      expect(await store.purgeLinks(START, 1)).toBe(1);
      expect(await other.purgeLinks(START, 10)).toBe(1);
      expect((await other.linksOf('anna')).map(({ id }) => id)).toEqual(['l2']);
    });

    describe('purgeSessions', () => {
      beforeEach(() => store.createAccount(anna()));

      it('deletes sessions issued before the given time, not at it', async () => {
        await store.createSession({ session: newSession({ id: 'before', issuedAt: START - 1 }) }, anna());
        await store.createSession({ session: newSession({ id: 'at', issuedAt: START }) }, anna());
        await store.createSession({ session: newSession({ id: 'after', issuedAt: START + 1 }) }, anna());
        expect(await store.purgeSessions(START, 10)).toEqual({ examined: 1, deleted: 1 });
        expect(await stored('before')).toBe('expired');
        expect(await stored('at')).toMatchObject({ id: 'at' });
        expect(await stored('after')).toMatchObject({ id: 'after' });
      });

      it('keeps an old session that is still in use', async () => {
        await store.createSession({ session: newSession() }, anna());
        await redeem(refreshClaims(1, START), START + DAY);
        expect(await store.purgeSessions(START + DAY, 10)).toEqual({ examined: 1, deleted: 0 });
        expect(await stored()).toMatchObject({ generation: 2 });
        // And does not look at it again before it has to.
        expect(await store.purgeSessions(START + DAY, 10)).toEqual({ examined: 0, deleted: 0 });
        expect(await other.purgeSessions(START + DAY + 1, 10)).toEqual({ examined: 1, deleted: 1 });
      });

      it('deletes at most the limit, and answers how many', async () => {
        for (let i = 0; i < 5; i++) await store.createSession({ session: newSession({ id: `s${i}` }) }, anna());
        expect(await store.purgeSessions(START + 1, 2)).toEqual({ examined: 2, deleted: 2 });
        expect(await other.purgeSessions(START + 1, 2)).toEqual({ examined: 2, deleted: 2 });
        expect(await store.purgeSessions(START + 1, 2)).toEqual({ examined: 1, deleted: 1 });
        expect(await store.purgeSessions(START + 1, 2)).toEqual({ examined: 0, deleted: 0 });
      });

      it('deletes ended sessions for good', async () => {
        await store.createSession({ session: newSession() }, anna());
        await store.endSession('session', 'revoked', START);
        expect(await store.purgeSessions(START + 1, 10)).toEqual({ examined: 1, deleted: 1 });
        expect(await redeem(refreshClaims(1, START), START)).toEqual({
          kind: 'ended',
          reason: 'expired',
          byThisCall: false,
        });
        expect(await redeem(refreshClaims(2, START), START)).toEqual({
          kind: 'ended',
          reason: 'expired',
          byThisCall: false,
        });
      });

      it('keeps the account', async () => {
        await store.createSession({ session: newSession() }, anna());
        await store.purgeSessions(START + 1, 10);
        expect(await store.findAccountByEmail('anna@example.com')).toEqual(anna());
      });
    });

    it('answers a ping', async () => {
      await expect(store.ping()).resolves.toBeUndefined();
    });
  });
}
