import { and, eq, inArray, isNull, lt, sql } from 'drizzle-orm';
import { isDatabaseUnavailable } from '../../../db/errors.ts';
import type { SqliteDatabase } from '../../../db/sqlite.ts';
import { decideCall, decideRefresh, type EndReason } from '../../sessions/rotation.ts';
import { PURGED, toUser, type AuthStore, type Ended, type Live, type NewSession } from '../auth-store.ts';
import { sessions, users } from './tables.sqlite.ts';

const IMMEDIATE = { behavior: 'immediate' } as const;

/**
 * The verbs on SQLite. Each runs synchronously, so one without a transaction is a single step within this process; what
 * another process can do in between is ruled out by a transaction or by the condition of the write.
 */
export function sqliteStore({ db, withoutFsync, checkFile }: SqliteDatabase): AuthStore {
  const sessionById = db
    .select()
    .from(sessions)
    .where(eq(sessions.id, sql.placeholder('id')))
    .prepare();
  const userById = db
    .select({ id: users.id, username: users.username, email: users.email, createdAt: users.createdAt })
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
    .where(eq(sessions.id, sql.placeholder('id')))
    .prepare();

  /** Two reads by primary key: a join takes three times as long in better-sqlite3, and every call would pay for it. */
  function find(id: string): Live | undefined {
    const session = sessionById.get({ id });
    const user = session && userById.get({ id: session.userId });
    return user && { session, user: toUser(user) };
  }

  /** @returns false where the session does not exist or had already ended */
  function end(id: string, endReason: EndReason, endedAt: number): boolean {
    const live = and(eq(sessions.id, id), isNull(sessions.endedAt));
    return db.update(sessions).set({ endedAt, endReason }).where(live).run().changes > 0;
  }

  function endReused(id: string, now: number): Ended {
    return { kind: 'ended', reason: 'reused', byThisCall: end(id, 'reused', now) };
  }

  /** Runs in the caller's transaction. @returns whether a session was replaced */
  function begin({ session, replacing }: NewSession): boolean {
    const replaced = replacing !== undefined && end(replacing, 'revoked', session.createdAt);
    db.insert(sessions).values(session).run();
    return replaced;
  }

  const exists = (condition: ReturnType<typeof eq>) =>
    db.select({ id: users.id }).from(users).where(condition).get() !== undefined;

  function taken(username: string, email: string) {
    if (exists(eq(sql`lower(${users.username})`, username.toLowerCase()))) return 'username_taken';
    return exists(eq(users.email, email)) ? 'email_taken' : undefined;
  }

  return {
    async createAccount(account, first) {
      return db.transaction(() => {
        const kind = taken(account.username, account.email);
        if (kind !== undefined) return { kind };
        db.insert(users).values(account).run();
        return { kind: 'created', replaced: first !== undefined && begin(first) };
      }, IMMEDIATE);
    },

    async findTaken(username, email) {
      return taken(username, email);
    },

    async findAccountByEmail(email) {
      return accountByEmail.get({ email });
    },

    async replacePasswordHash(userId, from, to) {
      const unchanged = and(eq(users.id, userId), eq(users.passwordHash, from));
      db.update(users).set({ passwordHash: to }).where(unchanged).run();
    },

    async createSession(session) {
      return { kind: 'created', replaced: db.transaction(() => begin(session), IMMEDIATE) };
    },

    async redeem(claims, now, policy) {
      const redeemed = withoutFsync(() =>
        db.transaction(() => {
          const found = find(claims.sessionId);
          if (found === undefined) return PURGED;
          const decision = decideRefresh(found.session, claims, now, policy);
          if (decision.kind === 'reused') return decision;
          if (decision.kind === 'ended') return { ...decision, byThisCall: false };
          if ('progress' in decision) {
            const changes = { ...decision.progress, lastSeenAt: now };
            writeProgress.run({ ...changes, id: claims.sessionId });
            Object.assign(found.session, changes);
          }
          return { kind: decision.kind === 'keep' ? 'keep' : 'issue', ...found } as const;
        }, IMMEDIATE),
      );
      // A write of its own, because it has to be durable. Whatever happened in between, the session has two holders.
      return redeemed.kind === 'reused' ? endReused(claims.sessionId, now) : redeemed;
    },

    async authenticate(claims, now, policy) {
      const found = find(claims.sessionId);
      if (found === undefined) return PURGED;
      const decision = decideCall(found.session, claims, now, policy);
      if (decision.kind === 'ended') return { ...decision, byThisCall: false };
      if (decision.kind === 'reused') return endReused(claims.sessionId, now);
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
        Object.assign(found.session, changes);
      }
      return { kind: 'authenticated', ...found };
    },

    async endSession(id, reason, now) {
      return end(id, reason, now);
    },

    async purgeSessions(before, limit) {
      const idle = db.select({ id: sessions.id }).from(sessions).where(lt(sessions.issuedAt, before)).limit(limit);
      return withoutFsync(() => db.delete(sessions).where(inArray(sessions.id, idle)).run().changes);
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
