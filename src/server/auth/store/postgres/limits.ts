import { asc, getTableName, inArray, lt } from 'drizzle-orm';
import { RateLimiterPostgres } from 'rate-limiter-flexible';
import type { PostgresDatabase } from '../../../db/postgres.ts';
import type { DurableLimiter } from '../../limits/throttle.ts';
import { rateLimits } from './tables.postgres.ts';

/** Limiters that count in PostgreSQL, for all servers together. */
export function postgresLimiters({ db }: Pick<PostgresDatabase, 'db'>): DurableLimiter {
  return (keyPrefix, limit) =>
    new RateLimiterPostgres({
      storeClient: db.$client,
      storeType: 'pool',
      tableName: getTableName(rateLimits),
      tableCreated: true,
      // `purgeLimits` does that.
      clearExpiredByTimeout: false,
      keyPrefix,
      ...limit,
    });
}

/** @returns a function that deletes at most `limit` counters that expired before `now`, and answers how many */
export function purgeLimits({ db }: Pick<PostgresDatabase, 'db'>) {
  return async (now: number, limit: number): Promise<number> => {
    const expired = db
      .select({ key: rateLimits.key })
      .from(rateLimits)
      .where(lt(rateLimits.expire, now))
      .orderBy(asc(rateLimits.expire))
      .limit(limit);
    return (await db.delete(rateLimits).where(inArray(rateLimits.key, expired))).rowCount ?? 0;
  };
}
