import { and, eq, inArray, isNull, lt, sql } from 'drizzle-orm';
import { isDatabaseUnavailable } from '../../../db/errors.ts';
import { violatedConstraint, type PostgresDatabase } from '../../../db/postgres.ts';
import { decideCall, decideRefresh, type EndReason } from '../../sessions/rotation.ts';
import { PURGED, toUser, type AuthStore, type Ended, type Live, type NewSession } from '../auth-store.ts';
import { sessions, users } from './tables.postgres.ts';

/** What it means when a unique index is violated. */
const TAKEN: Record<string, 'username_taken' | 'email_taken'> = {
  users_username_unique: 'username_taken',
  users_email_unique: 'email_taken',
};

/**
 * The verbs on PostgreSQL. Each is one statement where that is possible. One that reads, decides and then writes makes the
 * write conditional on what it has read, because other servers may do anything in between.
 */
export function postgresStore({ db, ping }: Pick<PostgresDatabase, 'db' | 'ping'>): AuthStore {
  const placeholder = sql.placeholder;

  // Every protected call waits for this one.
  const sessionAndUser = db
    .select({
      session: sessions,
      user: { id: users.id, username: users.username, email: users.email, createdAt: users.createdAt },
    })
    .from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(eq(sessions.id, placeholder('id')))
    .prepare('session_and_user');
  const accountByEmail = db
    .select()
    .from(users)
    .where(eq(users.email, placeholder('email')))
    .prepare('account_by_email');
  const confirm = db
    .update(sessions)
    .set({ confirmed: true, issuedAt: sql`${placeholder('issuedAt')}`, lastSeenAt: sql`${placeholder('now')}` })
    // Another server may have confirmed or rotated it since it was read.
    .where(
      and(
        eq(sessions.id, placeholder('id')),
        eq(sessions.generation, placeholder('generation')),
        eq(sessions.confirmed, false),
      ),
    )
    .prepare('confirm');
  const progress = db
    .update(sessions)
    .set({
      generation: sql`${placeholder('generation')}`,
      issuedAt: sql`${placeholder('issuedAt')}`,
      confirmed: sql`${placeholder('confirmed')}`,
      previousIssuedAt: sql`${placeholder('previousIssuedAt')}`,
      lastSeenAt: sql`${placeholder('lastSeenAt')}`,
    })
    .where(
      and(
        eq(sessions.id, placeholder('id')),
        eq(sessions.generation, placeholder('readGeneration')),
        eq(sessions.issuedAt, placeholder('readIssuedAt')),
        eq(sessions.confirmed, placeholder('readConfirmed')),
        isNull(sessions.endedAt),
      ),
    )
    .prepare('progress');

  async function find(id: string): Promise<Live | undefined> {
    const [found] = await sessionAndUser.execute({ id });
    return found && { session: found.session, user: toUser(found.user) };
  }

  /** Ends the session unless it does not exist or had already ended. */
  const ending = (id: string, endReason: EndReason, endedAt: number) =>
    db
      .update(sessions)
      .set({ endedAt, endReason })
      .where(and(eq(sessions.id, id), isNull(sessions.endedAt)))
      .returning({ id: sessions.id });

  async function endReused(id: string, now: number): Promise<Ended> {
    return { kind: 'ended', reason: 'reused', byThisCall: (await ending(id, 'reused', now)).length > 0 };
  }

  /** The parts of a statement that creates a session; the rows of `replaced` are those that it replaces. */
  function beginning({ session, replacing }: NewSession) {
    const started = db.$with('started').as(db.insert(sessions).values(session).returning({ id: sessions.id }));
    // Without one to replace, it finds none.
    const replaced = db.$with('replaced').as(ending(replacing ?? '', 'revoked', session.createdAt));
    return { started, replaced };
  }

  async function taken(username: string, email: string) {
    const byUsername = db
      .select({ id: users.id })
      .from(users)
      .where(eq(sql`lower(${users.username} collate "C")`, username.toLowerCase()));
    const byEmail = db.select({ id: users.id }).from(users).where(eq(users.email, email));
    const { rows } = await db.execute<{ username: boolean; email: boolean }>(
      sql`select exists ${byUsername} as username, exists ${byEmail} as email`,
    );
    if (rows[0]?.username === true) return 'username_taken';
    return rows[0]?.email === true ? 'email_taken' : undefined;
  }

  return {
    async createAccount(account, first) {
      try {
        if (first === undefined) {
          await db.insert(users).values(account);
          return { kind: 'created', replaced: false };
        }
        const created = db.$with('created').as(db.insert(users).values(account).returning({ id: users.id }));
        const { started, replaced } = beginning(first);
        const rows = await db.with(created, started, replaced).select().from(replaced);
        return { kind: 'created', replaced: rows.length > 0 };
      } catch (error) {
        const constraint = violatedConstraint(error);
        if (constraint === undefined) throw error;
        // Of several violated constraints the database reports any one.
        const kind = (await taken(account.username, account.email)) ?? TAKEN[constraint];
        if (kind === undefined) throw error;
        return { kind };
      }
    },

    findTaken: taken,

    async findAccountByEmail(email) {
      return (await accountByEmail.execute({ email }))[0];
    },

    async replacePasswordHash(userId, from, to) {
      const unchanged = and(eq(users.id, userId), eq(users.passwordHash, from));
      await db.update(users).set({ passwordHash: to }).where(unchanged);
    },

    async createSession(session) {
      const { started, replaced } = beginning(session);
      const rows = await db.with(started, replaced).select().from(replaced);
      return { kind: 'created', replaced: rows.length > 0 };
    },

    async redeem(claims, now, policy) {
      // Whenever the write finds that another server was faster, the row has got further, so this ends.
      for (;;) {
        const found = await find(claims.sessionId);
        if (found === undefined) return PURGED;
        const { session } = found;
        const decision = decideRefresh(session, claims, now, policy);
        // Whatever happened in between, the session has two holders.
        if (decision.kind === 'reused') return endReused(claims.sessionId, now);
        if (decision.kind === 'ended') return { ...decision, byThisCall: false };
        const kind = decision.kind === 'keep' ? 'keep' : 'issue';
        if (!('progress' in decision)) return { kind, ...found };
        const changes = { ...decision.progress, lastSeenAt: now };
        const { rowCount } = await progress.execute({
          ...changes,
          id: session.id,
          readGeneration: session.generation,
          readIssuedAt: session.issuedAt,
          readConfirmed: session.confirmed,
        });
        if (rowCount === 1) return { kind, ...found, session: { ...session, ...changes } };
      }
    },

    async authenticate(claims, now, policy) {
      const found = await find(claims.sessionId);
      if (found === undefined) return PURGED;
      const decision = decideCall(found.session, claims, now, policy);
      if (decision.kind === 'ended') return { ...decision, byThisCall: false };
      if (decision.kind === 'reused') return endReused(claims.sessionId, now);
      if (decision.confirmedIssuedAt !== undefined) {
        const issuedAt = decision.confirmedIssuedAt;
        try {
          await confirm.execute({ id: claims.sessionId, generation: claims.generation, issuedAt, now });
        } catch (error) {
          // The call can be answered without the write, and a later one confirms the generation just as well.
          if (!isDatabaseUnavailable(error)) throw error;
        }
        Object.assign(found.session, { confirmed: true, issuedAt, lastSeenAt: now });
      }
      return { kind: 'authenticated', ...found };
    },

    async endSession(id, reason, now) {
      return (await ending(id, reason, now)).length > 0;
    },

    async purgeSessions(before, limit) {
      const idle = db.select({ id: sessions.id }).from(sessions).where(lt(sessions.issuedAt, before)).limit(limit);
      return (await db.delete(sessions).where(inArray(sessions.id, idle))).rowCount ?? 0;
    },

    ping,
  };
}
