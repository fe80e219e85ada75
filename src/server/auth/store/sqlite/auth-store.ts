import { and, desc, eq, gt, inArray, isNotNull, isNull, lt, ne, sql } from 'drizzle-orm';
import { isDatabaseUnavailable } from '../../../db/errors.ts';
import type { SqliteDatabase } from '../../../db/sqlite.ts';
import type { NewMail } from '../../../mail/mails.ts';
import { decideCall, decideRefresh, type EndReason } from '../../sessions/rotation.ts';
import {
  endedWithAccount,
  isActiveAdmin,
  isAsExpected,
  losesAdmin,
  PURGED,
  reusedMail,
  toOutboxRow,
  toStoredSession,
  toUser,
  type AccountChange,
  type AccountChanged,
  type AuthStore,
  type Ended,
  type LinkRow,
  type Live,
  type NewSession,
} from '../auth-store.ts';
import { auditEvents, links, outbox, sessionColumns, sessions, users } from './tables.sqlite.ts';

/** No account has this id. */
const NOBODY = '';
const IMMEDIATE = { behavior: 'immediate' } as const;

/**
 * The verbs on SQLite. Each runs synchronously, so one without a transaction is a single step within this process; what
 * another process can do in between is ruled out by a transaction or by the condition of the write.
 * @param onMail called when mail has been written to the outbox; if undefined, none is written
 */
export function sqliteStore({ db, withoutFsync, checkFile }: SqliteDatabase, onMail?: () => void): AuthStore {
  const sessionById = db
    .select(sessionColumns)
    .from(sessions)
    .where(eq(sessions.id, sql.placeholder('id')))
    .prepare();
  const userById = db
    .select({
      id: users.id,
      username: users.username,
      email: users.email,
      emailVerifiedAt: users.emailVerifiedAt,
      role: users.role,
      createdAt: users.createdAt,
    })
    .from(users)
    .where(eq(users.id, sql.placeholder('id')))
    .prepare();
  const accountByEmail = db
    .select()
    .from(users)
    .where(eq(users.email, sql.placeholder('email')))
    .prepare();
  // Prepared as well: building this statement took a seventh of a refresh.
  const writeProgress = db
    .update(sessions)
    .set({
      generation: sql`${sql.placeholder('generation')}`,
      issuedAt: sql`${sql.placeholder('issuedAt')}`,
      confirmed: sql`${sql.param(sql.placeholder('confirmed'), sessions.confirmed)}`,
      previousIssuedAt: sql`${sql.placeholder('previousIssuedAt')}`,
      lastSeenAt: sql`${sql.placeholder('lastSeenAt')}`,
    })
    .where(
      and(
        eq(sessions.id, sql.placeholder('id')),
        eq(sessions.generation, sql.placeholder('readGeneration')),
        eq(sessions.issuedAt, sql.placeholder('readIssuedAt')),
        eq(sessions.confirmed, sql`${sql.param(sql.placeholder('readConfirmed'), sessions.confirmed)}`),
        isNull(sessions.endedAt),
      ),
    )
    .prepare();

  /** Two reads by primary key: a join takes three times as long in better-sqlite3, and every call would pay for it. */
  function find(id: string): ({ kind: 'live' } & Live) | Ended {
    const session = sessionById.get({ id });
    if (session === undefined) return PURGED;
    const user = userById.get({ id: session.userId });
    return user === undefined ? endedWithAccount(session) : { kind: 'live', session, user: toUser(user) };
  }

  const accountById = (id: string) => db.select().from(users).where(eq(users.id, id)).get();

  /** @returns false where the session does not exist or had already ended */
  function end(id: string, endReason: EndReason, endedAt: number): boolean {
    const live = and(eq(sessions.id, id), isNull(sessions.endedAt));
    return db.update(sessions).set({ endedAt, endReason }).where(live).run().changes > 0;
  }

  /** A transaction that may write mail, which `onMail` is told of once it is committed. */
  function transact<Result>(
    run: (send: (mails: readonly NewMail[] | undefined, now: number) => void) => Result,
  ): Result {
    let sent = false;
    const result = db.transaction(
      () =>
        run((mails, now) => {
          if (onMail === undefined || mails === undefined || mails.length === 0) return;
          db.insert(outbox)
            .values(mails.map((mail) => toOutboxRow(mail, now)))
            .run();
          sent = true;
        }),
      IMMEDIATE,
    );
    if (sent) onMail?.();
    return result;
  }

  function endReused(live: Live, now: number): Ended {
    const byThisCall = transact((send) => {
      const ended = end(live.session.id, 'reused', now);
      if (ended) send([reusedMail(live)], now);
      return ended;
    });
    return { kind: 'ended', reason: 'reused', byThisCall };
  }

  /** Runs in the caller's transaction. @returns whether a session was replaced */
  function begin({ session, replacing }: NewSession): boolean {
    const replaced = replacing !== undefined && end(replacing, 'revoked', session.createdAt);
    db.insert(sessions).values(toStoredSession(session)).run();
    return replaced;
  }

  /** Runs in the caller's transaction. */
  function replaceLink(link: LinkRow): void {
    db.delete(links)
      .where(and(eq(links.userId, link.userId ?? NOBODY), eq(links.purpose, link.purpose)))
      .run();
    db.insert(links).values(link).run();
  }

  /** A link of the account, or of nobody, that has not expired. */
  const usable = (id: string, userId: string | null, now: number) =>
    and(eq(links.id, id), userId === null ? isNull(links.userId) : eq(links.userId, userId), gt(links.expiresAt, now));

  const linkExists = (condition: ReturnType<typeof usable>) =>
    db.select({ id: links.id }).from(links).where(condition).get() !== undefined;

  const exists = (condition: ReturnType<typeof and>) =>
    db.select({ id: users.id }).from(users).where(condition).get() !== undefined;

  /** @param except a user who may have them */
  function taken(username: string | undefined, email: string | undefined, except = NOBODY) {
    const byUsername = username && eq(sql`lower(${users.username})`, username.toLowerCase());
    if (byUsername && exists(and(byUsername, ne(users.id, except)))) return 'username_taken';
    return email && exists(and(eq(users.email, email), ne(users.id, except))) ? 'email_taken' : undefined;
  }

  /** Runs in the caller's transaction. @returns the ids of the sessions ended */
  function endSessionsOf({ userId, now, endSessions, ...change }: AccountChange): string[] {
    if (endSessions === undefined && !change.delete) return [];
    const ended = db
      .update(sessions)
      .set({ endedAt: now, endReason: 'revoked' })
      .where(
        and(
          eq(sessions.userId, userId),
          isNull(sessions.endedAt),
          endSessions?.except === undefined ? undefined : ne(sessions.id, endSessions.except),
          endSessions?.only === undefined ? undefined : eq(sessions.id, endSessions.only),
        ),
      )
      .returning({ id: sessions.id })
      .all();
    return ended.map(({ id }) => id);
  }

  /** Runs in the caller's transaction. Deletes what is known of a person elsewhere than in the account itself. */
  function forget(userId: string): void {
    const origin = { userAgent: null, ip: null };
    db.update(sessions).set(origin).where(eq(sessions.userId, userId)).run();
    db.update(auditEvents)
      .set({ ...origin, detail: null })
      .where(eq(auditEvents.userId, userId))
      .run();
    // What somebody did to others stays on record.
    db.update(auditEvents).set(origin).where(eq(auditEvents.actorId, userId)).run();
    // Their links work no longer. Other mails may be the only sign of a theft, and go out.
    db.delete(outbox)
      .where(and(eq(outbox.userId, userId), isNotNull(outbox.linkId)))
      .run();
  }

  function mayAsk(sessionId: string, byAdmin = false): boolean {
    const session = sessionById.get({ id: sessionId });
    if (session?.endedAt !== null) return false;
    const user = byAdmin ? accountById(session.userId) : undefined;
    return !byAdmin || (user !== undefined && isActiveAdmin(user));
  }

  /** Runs in a transaction, of which nothing may be written before all the questions are answered. */
  function apply(change: AccountChange): AccountChanged {
    const { userId, set = {} } = change;
    const account = accountById(userId);
    if (account === undefined || !isAsExpected(account, change.expected)) return { kind: 'overtaken' };
    if (change.session !== undefined && !mayAsk(change.session, change.byAdmin)) return { kind: 'overtaken' };
    const isOtherAdmin = and(eq(users.role, 'admin'), isNull(users.disabledAt), ne(users.id, userId));
    if (losesAdmin(account, change) && !exists(isOtherAdmin)) return { kind: 'last_admin' };
    const link = change.link === undefined ? undefined : usable(change.link, userId, change.now);
    if (link !== undefined && !linkExists(link)) return { kind: 'link_invalid' };
    const kind = taken(set.username, set.email, userId);
    if (kind !== undefined) return { kind };

    if (link !== undefined) db.delete(links).where(link).run();
    const endedSessions = endSessionsOf(change);
    if (change.delete) {
      forget(userId);
      db.delete(users).where(eq(users.id, userId)).run();
      return { kind: 'changed', account, endedSessions };
    }
    if (Object.keys(set).length > 0) db.update(users).set(set).where(eq(users.id, userId)).run();
    const revoked = change.revokeLinks ?? [];
    if (revoked.length > 0)
      db.delete(links)
        .where(and(eq(links.userId, userId), inArray(links.purpose, [...revoked])))
        .run();
    if (change.newLink !== undefined) replaceLink(change.newLink);
    return { kind: 'changed', account: { ...account, ...set }, endedSessions };
  }

  return {
    async createAccount(account, first, link) {
      return transact((send) => {
        const kind = taken(account.username, account.email);
        if (kind !== undefined) return { kind };
        db.insert(users).values(account).run();
        if (link !== undefined) replaceLink(link);
        send(first?.mails, account.createdAt);
        return { kind: 'created', replaced: first !== undefined && begin(first) };
      });
    },

    async createAccountWithLink(account, linkId) {
      return transact(() => {
        const link = usable(linkId, null, account.createdAt);
        if (!linkExists(link)) return { kind: 'link_invalid' };
        const kind = taken(account.username, account.email);
        if (kind !== undefined) return { kind };
        db.delete(links).where(link).run();
        db.insert(users).values(account).run();
        return { kind: 'created' };
      });
    },

    async findTaken(username, email) {
      return taken(username, email);
    },

    async findAccountByEmail(email) {
      return accountByEmail.get({ email });
    },

    async findAccount(id) {
      return accountById(id);
    },

    async changeAccount(change) {
      return transact((send) => {
        const changed = apply(change);
        if (changed.kind === 'changed') send(change.mails, change.now);
        return changed;
      });
    },

    async createLink(link, mails) {
      transact((send) => {
        const account = accountById(link.userId ?? NOBODY);
        if (link.userId !== null && account === undefined) return;
        replaceLink(link);
        send(mails, link.createdAt);
      });
    },

    async findLink(id) {
      return db.select().from(links).where(eq(links.id, id)).get();
    },

    async purgeLinks(before, limit) {
      const expired = db.select({ id: links.id }).from(links).where(lt(links.expiresAt, before)).limit(limit);
      return withoutFsync(() => db.delete(links).where(inArray(links.id, expired)).run().changes);
    },

    async replacePasswordHash(userId, from, to) {
      const unchanged = and(eq(users.id, userId), eq(users.passwordHash, from));
      db.update(users).set({ passwordHash: to }).where(unchanged).run();
    },

    async createSession(first, { id, passwordChangedAt }) {
      return transact((send) => {
        const unchanged = and(
          eq(users.id, id),
          eq(users.passwordChangedAt, passwordChangedAt),
          isNull(users.disabledAt),
        );
        if (!exists(unchanged)) return { kind: 'overtaken' };
        send(first.mails, first.session.createdAt);
        return { kind: 'created', replaced: begin(first) };
      });
    },

    async liveSessions(userId, now) {
      const live = and(eq(sessions.userId, userId), isNull(sessions.endedAt), gt(sessions.expiresAt, now));
      return db.select(sessionColumns).from(sessions).where(live).orderBy(desc(sessions.lastSeenAt)).all();
    },

    async sessionsOf(userId) {
      return db
        .select(sessionColumns)
        .from(sessions)
        .where(eq(sessions.userId, userId))
        .orderBy(desc(sessions.createdAt))
        .all();
    },

    async linksOf(userId) {
      return db.select().from(links).where(eq(links.userId, userId)).all();
    },

    async mailsOf(userId) {
      return db.select().from(outbox).where(eq(outbox.userId, userId)).all();
    },

    async setAuthenticatedAt(sessionId, now) {
      db.update(sessions).set({ authenticatedAt: now }).where(eq(sessions.id, sessionId)).run();
    },

    async redeem(claims, now, policy) {
      // Not in a transaction, whose BEGIN and COMMIT are a fifth of a refresh. Whenever the write finds that another process
      // was faster, the row has got further, so this ends.
      for (;;) {
        const found = find(claims.sessionId);
        if (found.kind === 'ended') return found;
        const { session, user } = found;
        const decision = decideRefresh(session, claims, now, policy);
        // Whatever happens in between, the session has two holders.
        if (decision.kind === 'reused') return endReused(found, now);
        if (decision.kind === 'ended') return { ...decision, byThisCall: false };
        const kind = decision.kind === 'keep' ? 'keep' : 'issue';
        if (!('progress' in decision)) return { kind, session, user };
        const changes = { ...decision.progress, lastSeenAt: now };
        const written = withoutFsync(() =>
          writeProgress.run({
            ...changes,
            id: session.id,
            readGeneration: session.generation,
            readIssuedAt: session.issuedAt,
            readConfirmed: session.confirmed,
          }),
        );
        if (written.changes === 1) return { kind, session: { ...session, ...changes }, user };
      }
    },

    async authenticate(claims, now, policy) {
      const found = find(claims.sessionId);
      if (found.kind === 'ended') return found;
      const { session, user } = found;
      const decision = decideCall(session, claims, now, policy);
      if (decision.kind === 'ended') return { ...decision, byThisCall: false };
      if (decision.kind === 'reused') return endReused(found, now);
      if (decision.confirmedIssuedAt !== undefined) {
        const changes = { confirmed: true, issuedAt: decision.confirmedIssuedAt, lastSeenAt: now };
        // Another process may have confirmed or rotated it since it was read.
        const unconfirmed = and(
          eq(sessions.id, claims.sessionId),
          eq(sessions.generation, claims.generation),
          eq(sessions.confirmed, false),
        );
        try {
          withoutFsync(() => db.update(sessions).set(changes).where(unconfirmed).run());
        } catch (error) {
          // The call can be answered without the write, and a later one confirms the generation just as well.
          if (!isDatabaseUnavailable(error)) throw error;
        }
        Object.assign(session, changes);
      }
      return { kind: 'authenticated', session, user };
    },

    async endSession(id, reason, now) {
      return end(id, reason, now);
    },

    async purgeSessions(before, limit) {
      const due = db
        .select({ id: sessions.id })
        .from(sessions)
        .where(lt(sessions.indexedIssuedAt, before))
        .orderBy(sessions.indexedIssuedAt)
        .limit(limit)
        .all();
      if (due.length === 0) return { examined: 0, deleted: 0 };
      const isDue = inArray(
        sessions.id,
        due.map(({ id }) => id),
      );
      return withoutFsync(() => {
        const { changes } = db
          .delete(sessions)
          .where(and(isDue, lt(sessions.issuedAt, before)))
          .run();
        db.update(sessions)
          .set({ indexedIssuedAt: sql`${sessions.issuedAt}` })
          .where(isDue)
          .run();
        return { examined: due.length, deleted: changes };
      });
    },

    async ping() {
      checkFile();
      db.select({ id: users.id }).from(users).limit(1).get();
      // Takes the write lock, deletes nothing.
      db.delete(users)
        .where(sql`false`)
        .run();
    },
  };
}
