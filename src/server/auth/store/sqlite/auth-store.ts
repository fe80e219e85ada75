import { and, eq, inArray, isNull, lt, sql } from 'drizzle-orm';
import { isOutage, type SqliteDatabase } from '../../../db/sqlite.ts';
import { judgeCall, judgeRedemption, type SessionRow } from '../../sessions/rotation.ts';
import { PURGED, toUser, type AccountCreated, type AuthStore, type Ended, type Live } from '../auth-store.ts';
import { sessions, users } from './tables.sqlite.ts';

/** The verbs on SQLite. Everything here is synchronous, so a verb without a transaction is still one step in a process. */
export function sqliteStore({ db, verb, relaxed }: SqliteDatabase): AuthStore {
  const user = { id: users.id, username: users.username, email: users.email, createdAt: users.createdAt };
  const session = db
    .select()
    .from(sessions)
    .where(eq(sessions.id, sql.placeholder('id')))
    .prepare();
  const owner = db
    .select(user)
    .from(users)
    .where(eq(users.id, sql.placeholder('id')))
    .prepare();
  const account = db
    .select()
    .from(users)
    .where(eq(users.email, sql.placeholder('email')))
    .prepare();

  /** Two reads by primary key: better-sqlite3 takes three times as long for the same as a join, and every call pays it. */
  function find(id: string): Live | undefined {
    const row = session.get({ id });
    const person = row && owner.get({ id: row.userId });
    return person && { session: row, user: toUser(person) };
  }

  function end(id: string, endReason: 'revoked' | 'reused', endedAt: number): boolean {
    return (
      db
        .update(sessions)
        .set({ endedAt, endReason })
        .where(and(eq(sessions.id, id), isNull(sessions.endedAt)))
        .run().changes > 0
    );
  }

  /** In a transaction of the caller's. @returns whether there was a session to end */
  function begin(first: SessionRow, inPlaceOf: string | undefined): boolean {
    const replaced = inPlaceOf !== undefined && end(inPlaceOf, 'revoked', first.createdAt);
    db.insert(sessions).values(first).run();
    return replaced;
  }

  const reused = (id: string, now: number): Ended => ({ kind: 'ended', reason: 'reused', now: end(id, 'reused', now) });

  return {
    createAccount: verb((account, first) =>
      db.transaction(
        (tx): AccountCreated => {
          const taken = (condition: ReturnType<typeof eq>) =>
            tx.select({ id: users.id }).from(users).where(condition).get() !== undefined;
          if (taken(eq(sql`lower(${users.username})`, account.username.toLowerCase())))
            return { kind: 'username_taken' };
          if (taken(eq(users.email, account.email))) return { kind: 'email_taken' };
          tx.insert(users).values(account).run();
          return { kind: 'created', replaced: first !== undefined && begin(first.session, first.inPlaceOf) };
        },
        { behavior: 'immediate' },
      ),
    ),

    findAccountByEmail: verb((email) => account.get({ email })),

    replacePasswordHash: verb((userId, from, to) => {
      db.update(users)
        .set({ passwordHash: to })
        .where(and(eq(users.id, userId), eq(users.passwordHash, from)))
        .run();
    }),

    createSession: verb((first, inPlaceOf) => db.transaction(() => begin(first, inPlaceOf), { behavior: 'immediate' })),

    redeem: verb((copy, now, policy) => {
      const redeemed = relaxed(() =>
        db.transaction(
          (tx) => {
            const found = find(copy.sessionId);
            if (found === undefined) return PURGED;
            const judgement = judgeRedemption(found.session, copy, now, policy);
            if (judgement.kind === 'reused') return judgement;
            if (judgement.kind === 'ended') return { ...judgement, now: false };
            if ('progress' in judgement && judgement.progress !== undefined) {
              const changes = { ...judgement.progress, lastSeenAt: now };
              tx.update(sessions).set(changes).where(eq(sessions.id, copy.sessionId)).run();
              Object.assign(found.session, changes);
            }
            return { kind: judgement.kind === 'rest' ? 'rest' : 'fresh', ...found } as const;
          },
          { behavior: 'immediate' },
        ),
      );
      // Written apart, because it must be synced. Whatever happened in between, the session was in two hands.
      return redeemed.kind === 'reused' ? reused(copy.sessionId, now) : redeemed;
    }),

    recognize: verb((call, now, policy) => {
      const found = find(call.sessionId);
      if (found === undefined) return PURGED;
      const judgement = judgeCall(found.session, call, now, policy);
      if (judgement.kind === 'ended') return { ...judgement, now: false };
      if (judgement.kind === 'reused') return reused(call.sessionId, now);
      if (judgement.provedBy !== undefined) {
        const changes = { proved: true, issuedAt: judgement.provedBy, lastSeenAt: now };
        // Another process may have proved or rotated it since it was read.
        const unproved = and(
          eq(sessions.id, call.sessionId),
          eq(sessions.generation, call.generation),
          eq(sessions.proved, false),
        );
        try {
          relaxed(() => db.update(sessions).set(changes).where(unproved).run());
        } catch (error) {
          // The call needs no write to be answered; while there can be none, a later call brings the same proof.
          if (!isOutage(error)) throw error;
        }
        Object.assign(found.session, changes);
      }
      return { kind: 'good', ...found };
    }),

    endSession: verb((id, reason, now) => end(id, reason, now)),

    purgeSessions: verb((before, limit) => {
      const idle = db.select({ id: sessions.id }).from(sessions).where(lt(sessions.issuedAt, before)).limit(limit);
      return relaxed(() => db.delete(sessions).where(inArray(sessions.id, idle)).run().changes);
    }),

    ping: verb(() => {
      db.select({ id: users.id }).from(users).limit(1).get();
      // Takes the lock of a writer, and writes nothing.
      db.delete(users)
        .where(sql`false`)
        .run();
    }),
  };
}
