import { asc, getTableName, inArray, lt } from 'drizzle-orm';
import { RateLimiterSQLite } from 'rate-limiter-flexible';
import type { SqliteDatabase } from '../database.sqlite.ts';
import { rateLimits } from './tables.sqlite.ts';
import type { DurableLimiter } from './throttle.ts';

/** Limiters that count in SQLite. A count lost in a power cut does no harm, so they do not wait for the disk. */
export function sqliteLimiters({ db, relaxed }: SqliteDatabase): DurableLimiter {
  const client = db.$client;
  const storeClient = {
    prepare: (sql: string) => client.prepare(sql),
    transaction: (run: () => unknown) => () => relaxed(() => client.transaction(run)()),
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

/** Removes at most `limit` counters that are over. @returns how many */
export function purgeLimits({ db, relaxed, verb }: SqliteDatabase): (now: number, limit: number) => Promise<number> {
  return verb((now, limit) => {
    const over = db
      .select({ key: rateLimits.key })
      .from(rateLimits)
      .where(lt(rateLimits.expire, now))
      .orderBy(asc(rateLimits.expire))
      .limit(limit);
    return relaxed(() => db.delete(rateLimits).where(inArray(rateLimits.key, over)).run().changes);
  });
}
