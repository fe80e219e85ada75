import { asc, eq, inArray, lte, sql } from 'drizzle-orm';
import type { SqliteDatabase } from '../../../db/sqlite.ts';
import type { OutboxStore } from '../../../mail/outbox-store.ts';
import { outbox } from './tables.sqlite.ts';

/** The outbox in SQLite. */
export function sqliteOutbox({ db, withoutFsync }: SqliteDatabase): OutboxStore {
  return {
    async claim({ now, leaseUntil, limit }) {
      const due = db
        .select({ id: outbox.id })
        .from(outbox)
        .where(lte(outbox.nextAttemptAt, now))
        .orderBy(asc(outbox.nextAttemptAt))
        .limit(limit);
      // Without fsync: a power cut undoes the lease, too, and the mails are due again.
      return withoutFsync(() =>
        db
          .update(outbox)
          .set({ nextAttemptAt: leaseUntil, attempts: sql`${outbox.attempts} + 1` })
          .where(inArray(outbox.id, due))
          .returning()
          .all(),
      );
    },

    async remove(id) {
      db.delete(outbox).where(eq(outbox.id, id)).run();
    },

    async retryAt(id, at) {
      withoutFsync(() => db.update(outbox).set({ nextAttemptAt: at }).where(eq(outbox.id, id)).run());
    },
  };
}
