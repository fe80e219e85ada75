import { and, desc, eq, gt, inArray, isNotNull, isNull, lt, ne, sql } from 'drizzle-orm';
import { isDatabaseUnavailable } from '../../../db/errors.ts';
import { violatedConstraint, type PostgresDatabase } from '../../../db/postgres.ts';
import type { NewMail } from '../../../mail/mails.ts';
import { decideCall, decideRefresh, type EndReason } from '../../sessions/rotation.ts';
import {
  endedWithAccount,
  isAsExpected,
  losesAdmin,
  mayLoseAdmin,
  PURGED,
  reusedMail,
  toOutboxRow,
  toStoredSession,
  toUser,
  type Account,
  type AccountChange,
  type AccountChanged,
  type AuthStore,
  type Ended,
  type LinkRow,
  type Live,
  type NewSession,
} from '../auth-store.ts';
import { auditEvents, links, outbox, sessionColumns, sessions, users } from './tables.postgres.ts';

/** The database, or a transaction of it. */
type Executor = Pick<PostgresDatabase['db'], 'select' | 'insert' | 'update' | 'delete' | 'with' | '$with'>;

/** No account has this id. */
const NOBODY = '';

/** What it means when a unique index is violated. */
const TAKEN: Record<string, 'username_taken' | 'email_taken'> = {
  users_username_unique: 'username_taken',
  users_email_unique: 'email_taken',
};

/**
 * The verbs on PostgreSQL. Each is one statement where that is possible. One that reads, decides and then writes makes the
 * write conditional on what it has read, because other servers may do anything in between.
 * @param onMail called when mail has been written to the outbox; if undefined, none is written
 */
export function postgresStore({ db, ping }: Pick<PostgresDatabase, 'db' | 'ping'>, onMail?: () => void): AuthStore {
  const placeholder = sql.placeholder;

  // Every protected call waits for this one.
  const sessionAndUser = db
    .select({
      session: sessionColumns,
      user: {
        id: users.id,
        username: users.username,
        email: users.email,
        emailVerifiedAt: users.emailVerifiedAt,
        role: users.role,
        createdAt: users.createdAt,
      },
    })
    .from(sessions)
    .leftJoin(users, eq(users.id, sessions.userId))
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

  async function find(id: string): Promise<({ kind: 'live' } & Live) | Ended> {
    const [found] = await sessionAndUser.execute({ id });
    if (found === undefined) return PURGED;
    const { session, user } = found;
    return user === null ? endedWithAccount(session) : { kind: 'live', session, user: toUser(user) };
  }

  /** @returns false where the session does not exist or had already ended */
  async function end(executor: Executor, id: string, endReason: EndReason, endedAt: number): Promise<boolean> {
    const live = and(eq(sessions.id, id), isNull(sessions.endedAt));
    return (await executor.update(sessions).set({ endedAt, endReason }).where(live)).rowCount === 1;
  }

  /** @returns the rows of the outbox to be written: none where no mail is sent */
  const outboxRows = (mails: readonly NewMail[] = [], now: number) =>
    onMail === undefined ? [] : mails.map((mail) => toOutboxRow(mail, now));

  /** Runs in the caller's transaction. @returns whether mail has been written, for `onMail` after the commit */
  async function send(executor: Executor, mails: readonly NewMail[] | undefined, now: number): Promise<boolean> {
    const rows = outboxRows(mails, now);
    if (rows.length > 0) await executor.insert(outbox).values(rows);
    return rows.length > 0;
  }

  /** Inserts an account with what belongs to it, in one statement: the foreign key of the link is checked at its end. */
  async function insertAccount(
    executor: Executor,
    account: Account,
    first?: NewSession,
    link?: LinkRow,
  ): Promise<void> {
    const rows = outboxRows(first?.mails, account.createdAt);
    const parts = [
      first &&
        executor
          .$with('s')
          .as(executor.insert(sessions).values(toStoredSession(first.session)).returning({ id: sessions.id })),
      link && executor.$with('l').as(executor.insert(links).values(link).returning({ id: links.id })),
      rows.length > 0 && executor.$with('o').as(executor.insert(outbox).values(rows).returning({ id: outbox.id })),
    ];
    await executor
      .with(...parts.filter((part) => typeof part === 'object'))
      .insert(users)
      .values(account);
  }

  async function endReused(live: Live, now: number): Promise<Ended> {
    const { byThisCall, sent } = await db.transaction(async (tx) => {
      const ended = await end(tx, live.session.id, 'reused', now);
      return { byThisCall: ended, sent: ended && (await send(tx, [reusedMail(live)], now)) };
    });
    if (sent) onMail?.();
    return { kind: 'ended', reason: 'reused', byThisCall };
  }

  /** Runs in the caller's transaction. */
  const replaceLink = (executor: Executor, link: LinkRow) =>
    executor
      .insert(links)
      .values(link)
      .onConflictDoUpdate({ target: [links.userId, links.purpose], set: link });

  /**
   * Runs in the caller's transaction. Uses up a link of the account, or of nobody, that has not expired.
   * @returns false where there is none
   */
  async function useLink(executor: Executor, id: string, userId: string | null, now: number): Promise<boolean> {
    const owner = userId === null ? isNull(links.userId) : eq(links.userId, userId);
    const usable = and(eq(links.id, id), owner, gt(links.expiresAt, now));
    return (await executor.delete(links).where(usable)).rowCount === 1;
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

  /** @returns what is taken if that is why the statement failed @throws the error otherwise */
  async function takenIn(error: unknown, { username, email }: Partial<Account>) {
    const constraint = violatedConstraint(error);
    const kind = constraint && TAKEN[constraint];
    if (!kind) throw error;
    // Of several violated constraints the database reports any one.
    const both = username !== undefined && email !== undefined;
    return { kind: both ? ((await taken(username, email)) ?? kind) : kind };
  }

  /** Runs in the caller's transaction. @returns the ids of the sessions ended */
  async function endSessionsOf(executor: Executor, change: AccountChange): Promise<string[]> {
    const { userId, now, endSessions } = change;
    if (endSessions === undefined && !change.delete) return [];
    const ended = await executor
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
      .returning({ id: sessions.id });
    return ended.map(({ id }) => id);
  }

  /** Runs in the caller's transaction. Deletes what is known of a person elsewhere than in the account itself. */
  async function forget(tx: Executor, userId: string): Promise<void> {
    const origin = { userAgent: null, ip: null };
    await tx.update(sessions).set(origin).where(eq(sessions.userId, userId));
    await tx
      .update(auditEvents)
      .set({ ...origin, detail: null })
      .where(eq(auditEvents.userId, userId));
    // What somebody did to others stays on record.
    await tx.update(auditEvents).set(origin).where(eq(auditEvents.actorId, userId));
    // Their links work no longer. Other mails may be the only sign of a theft, and go out.
    await tx.delete(outbox).where(and(eq(outbox.userId, userId), isNotNull(outbox.linkId)));
  }

  /** Runs in a transaction, of which nothing may be written before all the questions are answered. */
  async function apply(tx: Executor, change: AccountChange): Promise<AccountChanged> {
    const { userId, set = {} } = change;
    // Before the account, or two admins who demote each other would each lock one of them and wait for the other.
    const admins = mayLoseAdmin(change) || change.byAdmin ? await lockAdmins(tx) : [];
    const [account] = await tx.select().from(users).where(eq(users.id, userId)).for('update');
    if (account === undefined || !isAsExpected(account, change.expected)) return { kind: 'overtaken' };
    if (change.session !== undefined) {
      const asking = await lockIfLive(tx, change.session);
      if (asking === undefined) return { kind: 'overtaken' };
      if (change.byAdmin && admins.every(({ id }) => id !== asking.userId)) return { kind: 'overtaken' };
    }
    if (losesAdmin(account, change) && admins.every(({ id }) => id === userId)) return { kind: 'last_admin' };
    // Before the names, which the database checks when they are written: SQLite keeps the same order.
    const used = change.link === undefined || (await useLink(tx, change.link, userId, change.now));
    if (!used) return { kind: 'link_invalid' };

    const endedSessions = await endSessionsOf(tx, change);
    if (change.delete) {
      await forget(tx, userId);
      await tx.delete(users).where(eq(users.id, userId));
      return { kind: 'changed', account, endedSessions };
    }
    if (Object.keys(set).length > 0) await tx.update(users).set(set).where(eq(users.id, userId));
    const revoked = change.revokeLinks ?? [];
    if (revoked.length > 0)
      await tx.delete(links).where(and(eq(links.userId, userId), inArray(links.purpose, [...revoked])));
    if (change.newLink !== undefined) await replaceLink(tx, change.newLink);
    return { kind: 'changed', account: { ...account, ...set }, endedSessions };
  }

  /** Whoever ends the session meanwhile waits. @returns undefined unless it is live */
  async function lockIfLive(tx: Executor, id: string): Promise<{ userId: string } | undefined> {
    const live = and(eq(sessions.id, id), isNull(sessions.endedAt));
    return (await tx.select({ userId: sessions.userId }).from(sessions).where(live).for('share'))[0];
  }

  /** Always in one order, so that of two admins who demote each other the second waits, and finds the first demoted. */
  const lockAdmins = (tx: Executor) =>
    tx
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.role, 'admin'), isNull(users.disabledAt)))
      .orderBy(users.id)
      .for('update');

  return {
    async createAccount(account, first, link) {
      try {
        const replacing = first?.replacing;
        let replaced = false;
        if (replacing === undefined) await insertAccount(db, account, first, link);
        else
          // CockroachDB lets a statement write to a table only once.
          replaced = await db.transaction(async (tx) => {
            const ended = await end(tx, replacing, 'revoked', account.createdAt);
            await insertAccount(tx, account, first, link);
            return ended;
          });
        if (outboxRows(first?.mails, account.createdAt).length > 0) onMail?.();
        return { kind: 'created', replaced };
      } catch (error) {
        return takenIn(error, account);
      }
    },

    async createAccountWithLink(account, linkId) {
      try {
        return await db.transaction(async (tx) => {
          if (!(await useLink(tx, linkId, null, account.createdAt))) return { kind: 'link_invalid' };
          await tx.insert(users).values(account);
          return { kind: 'created' };
        });
      } catch (error) {
        return takenIn(error, account);
      }
    },

    findTaken: taken,

    async findAccountByEmail(email) {
      return (await accountByEmail.execute({ email }))[0];
    },

    async findAccount(id) {
      return (await db.select().from(users).where(eq(users.id, id)))[0];
    },

    async changeAccount(change) {
      try {
        const { changed, sent } = await db.transaction(async (tx) => {
          const result = await apply(tx, change);
          return { changed: result, sent: result.kind === 'changed' && (await send(tx, change.mails, change.now)) };
        });
        if (sent) onMail?.();
        return changed;
      } catch (error) {
        return takenIn(error, change.set ?? {});
      }
    },

    async createLink(link, mails) {
      const sent = await db.transaction(async (tx) => {
        // Locked, or deleting the account meanwhile would make the next statement fail.
        const owner = tx.select({ id: users.id }).from(users);
        const [account] = await owner.where(eq(users.id, link.userId ?? NOBODY)).for('key share');
        if (link.userId !== null && account === undefined) return false;
        await replaceLink(tx, link);
        return send(tx, mails, link.createdAt);
      });
      if (sent) onMail?.();
    },

    async findLink(id) {
      return (await db.select().from(links).where(eq(links.id, id)))[0];
    },

    async purgeLinks(before, limit) {
      const expired = db.select({ id: links.id }).from(links).where(lt(links.expiresAt, before)).limit(limit);
      return (await db.delete(links).where(inArray(links.id, expired))).rowCount ?? 0;
    },

    async replacePasswordHash(userId, from, to) {
      const unchanged = and(eq(users.id, userId), eq(users.passwordHash, from));
      await db.update(users).set({ passwordHash: to }).where(unchanged);
    },

    async createSession({ session, replacing, mails }, { id, passwordChangedAt }) {
      const { created, sent } = await db.transaction(async (tx) => {
        const unchanged = and(
          eq(users.id, id),
          eq(users.passwordChangedAt, passwordChangedAt),
          isNull(users.disabledAt),
        );
        // Locked, so that whoever changes the account waits, and then finds the session and ends it.
        const [account] = await tx.select({ id: users.id }).from(users).where(unchanged).for('share');
        if (account === undefined) return { created: { kind: 'overtaken' } as const, sent: false };
        const replaced = replacing !== undefined && (await end(tx, replacing, 'revoked', session.createdAt));
        await tx.insert(sessions).values(toStoredSession(session));
        return { created: { kind: 'created', replaced } as const, sent: await send(tx, mails, session.createdAt) };
      });
      if (sent) onMail?.();
      return created;
    },

    async liveSessions(userId, now) {
      const live = and(eq(sessions.userId, userId), isNull(sessions.endedAt), gt(sessions.expiresAt, now));
      return db.select(sessionColumns).from(sessions).where(live).orderBy(desc(sessions.lastSeenAt));
    },

    async sessionsOf(userId) {
      return db
        .select(sessionColumns)
        .from(sessions)
        .where(eq(sessions.userId, userId))
        .orderBy(desc(sessions.createdAt));
    },

    async linksOf(userId) {
      return db.select().from(links).where(eq(links.userId, userId));
    },

    async mailsOf(userId) {
      return db.select().from(outbox).where(eq(outbox.userId, userId));
    },

    async setAuthenticatedAt(sessionId, now) {
      await db.update(sessions).set({ authenticatedAt: now }).where(eq(sessions.id, sessionId));
    },

    async redeem(claims, now, policy) {
      // Whenever the write finds that another server was faster, the row has got further, so this ends.
      for (;;) {
        const found = await find(claims.sessionId);
        if (found.kind === 'ended') return found;
        const { session, user } = found;
        const decision = decideRefresh(session, claims, now, policy);
        // Whatever happened in between, the session has two holders.
        if (decision.kind === 'reused') return endReused(found, now);
        if (decision.kind === 'ended') return { ...decision, byThisCall: false };
        const kind = decision.kind === 'keep' ? 'keep' : 'issue';
        if (!('progress' in decision)) return { kind, session, user };
        const changes = { ...decision.progress, lastSeenAt: now };
        const { rowCount } = await progress.execute({
          ...changes,
          id: session.id,
          readGeneration: session.generation,
          readIssuedAt: session.issuedAt,
          readConfirmed: session.confirmed,
        });
        if (rowCount === 1) return { kind, user, session: { ...session, ...changes } };
      }
    },

    async authenticate(claims, now, policy) {
      const found = await find(claims.sessionId);
      if (found.kind === 'ended') return found;
      const { session, user } = found;
      const decision = decideCall(session, claims, now, policy);
      if (decision.kind === 'ended') return { ...decision, byThisCall: false };
      if (decision.kind === 'reused') return endReused(found, now);
      if (decision.confirmedIssuedAt !== undefined) {
        const issuedAt = decision.confirmedIssuedAt;
        try {
          await confirm.execute({ id: claims.sessionId, generation: claims.generation, issuedAt, now });
        } catch (error) {
          // The call can be answered without the write, and a later one confirms the generation just as well.
          if (!isDatabaseUnavailable(error)) throw error;
        }
        Object.assign(session, { confirmed: true, issuedAt, lastSeenAt: now });
      }
      return { kind: 'authenticated', session, user };
    },

    endSession: (id, reason, now) => end(db, id, reason, now),

    async purgeSessions(before, limit) {
      return db.transaction(async (tx) => {
        const due = await tx
          .select({ id: sessions.id })
          .from(sessions)
          .where(lt(sessions.indexedIssuedAt, before))
          .orderBy(sessions.indexedIssuedAt)
          .limit(limit)
          // Rows that somebody is changing are left for the next time.
          .for('update', { skipLocked: true });
        if (due.length === 0) return { examined: 0, deleted: 0 };
        const isDue = inArray(
          sessions.id,
          due.map(({ id }) => id),
        );
        const { rowCount } = await tx.delete(sessions).where(and(isDue, lt(sessions.issuedAt, before)));
        await tx
          .update(sessions)
          .set({ indexedIssuedAt: sql`${sessions.issuedAt}` })
          .where(isDue);
        return { examined: due.length, deleted: rowCount ?? 0 };
      });
    },

    ping,
  };
}
