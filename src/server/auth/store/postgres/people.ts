import { and, asc, eq, gt, gte, lt, sql, type SQL } from 'drizzle-orm';
import type { PostgresDatabase } from '../../../db/postgres.ts';
import { beyond, toPersonRow, toTime, type PeopleStore, type PrefixRange } from '../people.ts';
import { sessions, users } from './tables.postgres.ts';

const lowerUsername = sql<string>`lower(${users.username} collate "C")`;

/** The people in PostgreSQL. */
export function postgresPeople({ db }: Pick<PostgresDatabase, 'db'>): PeopleStore {
  const newestUse = (userId: SQL) =>
    db
      .select({ at: sql<unknown>`max(${sessions.lastSeenAt})` })
      .from(sessions)
      .where(eq(sessions.userId, userId));

  const inRange = (key: SQL, { prefix, after, limit }: PrefixRange) =>
    db
      .select({
        id: users.id,
        username: users.username,
        email: users.email,
        emailVerifiedAt: users.emailVerifiedAt,
        role: users.role,
        createdAt: users.createdAt,
        disabledAt: users.disabledAt,
        // Not `users.id`, of which Drizzle leaves out the table here: it would be that of the session.
        lastSeenAt: sql<unknown>`(${newestUse(sql`${users}.${sql.identifier(users.id.name)}`)})`,
      })
      .from(users)
      .where(
        and(
          // One lower bound, for the reason given in ../sqlite/people.ts.
          after === undefined || after < prefix ? gte(key, sql`${prefix}`) : gt(key, sql`${after}`),
          lt(key, sql`${beyond(prefix)}`),
        ),
      )
      .orderBy(asc(key))
      .limit(limit);

  return {
    byUsername: async (range) => (await inRange(lowerUsername, range)).map(toPersonRow),
    byEmail: async (range) => (await inRange(sql`${users.email}`, range)).map(toPersonRow),

    async lastSeenAt(userId) {
      const [newest] = await newestUse(sql`${userId}`);
      return toTime(newest?.at);
    },
  };
}
