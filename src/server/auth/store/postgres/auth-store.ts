import { and, eq, inArray, isNull, lt, sql } from 'drizzle-orm';
import { isDatabaseUnavailable } from '../../../db/errors.ts';
import { violatedConstraint, type PostgresDatabase } from '../../../db/postgres.ts';
import { decideCall, decideRefresh, type EndReason, type SessionRow } from '../../sessions/rotation.ts';
import {
  PURGED,
  toUser,
  type Account,
  type AuthStore,
  type Ended,
  type Live,
  type NewSession,
  type SessionCreated,
} from '../auth-store.ts';
import { sessions, users } from './tables.postgres.ts';

/** The database, or a transaction of it. */
type Executor = Pick<PostgresDatabase['db'], 'insert' | 'update' | 'with' | '$with'>;

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

  /** @returns false where the session does not exist or had already ended */
  async function end(executor: Executor, id: string, endReason: EndReason, endedAt: number): Promise<boolean> {
    const live = and(eq(sessions.id, id), isNull(sessions.endedAt));
    return (await executor.update(sessions).set({ endedAt, endReason }).where(live)).rowCount === 1;
  }

  async function endReused(id: string, now: number): Promise<Ended> {
    return { kind: 'ended', reason: 'reused', byThisCall: await end(db, id, 'reused', now) };
  }

  /** Inserts a session, and its account where that is new, in one statement: the foreign key is checked at its end. */
  async function insert(executor: Executor, session: SessionRow, account?: Account): Promise<void> {
    if (account === undefined) return void (await executor.insert(sessions).values(session));
    const created = executor.$with('created').as(executor.insert(users).values(account).returning({ id: users.id }));
    await executor.with(created).insert(sessions).values(session);
  }

  async function begin({ session, replacing }: NewSession, account?: Account): Promise<SessionCreated> {
    if (replacing === undefined) {
      await insert(db, session, account);
      return { kind: 'created', replaced: false };
    }
    // A transaction, because CockroachDB lets a statement write to a table only once.
    return db.transaction(async (tx) => {
      const replaced = await end(tx, replacing, 'revoked', session.createdAt);
      await insert(tx, session, account);
      return { kind: 'created', replaced };
    });
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
        if (first !== undefined) return await begin(first, account);
        await db.insert(users).values(account);
        return { kind: 'created', replaced: false };
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

    createSession: (session) => begin(session),

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

    endSession: (id, reason, now) => end(db, id, reason, now),

    async purgeSessions(before, limit) {
      const idle = db.select({ id: sessions.id }).from(sessions).where(lt(sessions.issuedAt, before)).limit(limit);
      return (await db.delete(sessions).where(inArray(sessions.id, idle))).rowCount ?? 0;
    },

    ping,
  };
}
