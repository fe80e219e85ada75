import { asc, getTableName, inArray, lt } from 'drizzle-orm';
import { RateLimiterSQLite } from 'rate-limiter-flexible';
import { guarded, type SqliteDatabase } from '../../../db/sqlite.ts';
import { rateLimits } from './tables.sqlite.ts';
import type { DurableLimiter } from '../../limits/throttle.ts';

/** Limiters that count in SQLite. A count lost in a power cut does no harm, so they do not wait for the disk. */
export function sqliteLimiters({ db, relaxed }: SqliteDatabase): DurableLimiter {
  const client = db.$client;
  // The part of the driver that the limiter uses, with our faults and without the wait for the disk.
  const storeClient = {
    prepare(sql: string) {
      const statement = client.prepare(sql);
      return {
        get: (...values: unknown[]) => guarded(() => statement.get(...values)),
        run: (...values: unknown[]) => guarded(() => relaxed(() => statement.run(...values))),
      };
    },
    transaction: (run: () => unknown) => () => guarded(() => relaxed(() => client.transaction(run)())),
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
