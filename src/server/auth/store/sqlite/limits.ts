import { asc, getTableName, inArray, lt } from 'drizzle-orm';
import { RateLimiterSQLite } from 'rate-limiter-flexible';
import type { SqliteDatabase } from '../../../db/sqlite.ts';
import type { DurableLimiter } from '../../limits/throttle.ts';
import { rateLimits } from './tables.sqlite.ts';

/** Limiters that count in SQLite. Without fsync: a count lost in a power cut does no harm. */
export function sqliteLimiters({ db, withoutFsync }: SqliteDatabase): DurableLimiter {
  const client = db.$client;
  // The part of the driver that the limiter uses.
  const storeClient = {
    prepare(sql: string) {
      const statement = client.prepare(sql);
      return {
        get: (...values: unknown[]) => statement.get(...values),
        run: (...values: unknown[]) => withoutFsync(() => statement.run(...values)),
      };
    },
    transaction: (run: () => unknown) => () => withoutFsync(() => client.transaction(run)()),
  };
  return (keyPrefix, limit) =>
    new RateLimiterSQLite({
      storeClient,
      storeType: 'better-sqlite3',
      tableName: getTableName(rateLimits),
      tableCreated: true,
      keyPrefix,
      ...limit,
    });
}

/** @returns a function that deletes at most `limit` counters that expired before `now`, and answers how many */
export function purgeLimits({ db, withoutFsync }: SqliteDatabase) {
  return async (now: number, limit: number): Promise<number> => {
    const expired = db
      .select({ key: rateLimits.key })
      .from(rateLimits)
      .where(lt(rateLimits.expire, now))
      .orderBy(asc(rateLimits.expire))
      .limit(limit);
    return withoutFsync(() => db.delete(rateLimits).where(inArray(rateLimits.key, expired)).run().changes);
  };
}
