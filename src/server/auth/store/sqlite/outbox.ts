import { and, asc, eq, inArray, lte, sql } from 'drizzle-orm';
import type { SqliteDatabase } from '../../../db/sqlite.ts';
import type { OutboxStore } from '../../../mail/outbox-store.ts';
import { outbox } from './tables.sqlite.ts';

/** The outbox in SQLite, shared by the processes that share the file. */
export function sqliteOutbox({ db, withoutFsync }: SqliteDatabase): OutboxStore {
  return {
    async claim({ now, leaseUntil, limit }) {
      const isDue = lte(outbox.nextAttemptAt, now);
      // Most looks find nothing, and should not wait for the lock of a writer.
      if (db.select({ id: outbox.id }).from(outbox).where(isDue).limit(1).get() === undefined) return [];
      const due = db
        .select({ id: outbox.id })
        .from(outbox)
        .where(isDue)
        .orderBy(asc(outbox.nextAttemptAt))
        .limit(limit);
      // Without fsync: a power cut undoes the lease, too, and the mails are due again.
      const claimed = withoutFsync(() =>
        db
          .update(outbox)
          .set({ nextAttemptAt: leaseUntil, attempts: sql`${outbox.attempts} + 1` })
          .where(inArray(outbox.id, due))
          .returning()
          .all(),
      );
      // RETURNING knows no order.
      return claimed.toSorted((a, b) => a.createdAt - b.createdAt);
    },

    async remove(id) {
      db.delete(outbox).where(eq(outbox.id, id)).run();
    },

    async retryAt({ id, attempts }, at) {
      const stillClaimed = and(eq(outbox.id, id), eq(outbox.attempts, attempts));
      withoutFsync(() => db.update(outbox).set({ nextAttemptAt: at }).where(stillClaimed).run());
    },
  };
}
