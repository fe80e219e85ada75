import { and, asc, eq, inArray, lte, sql } from 'drizzle-orm';
import type { PostgresDatabase } from '../../../db/postgres.ts';
import type { OutboxStore } from '../../../mail/outbox-store.ts';
import { outbox } from './tables.postgres.ts';

/** The outbox in PostgreSQL, shared by all servers. */
export function postgresOutbox({ db }: Pick<PostgresDatabase, 'db'>): OutboxStore {
  return {
    async claim({ now, leaseUntil, limit }) {
      // In a WITH, which runs once: a plan may run a subquery again and again, and lock more than the limit each time.
      const due = db.$with('due').as(
        db
          .select({ id: outbox.id })
          .from(outbox)
          .where(lte(outbox.nextAttemptAt, now))
          .orderBy(asc(outbox.nextAttemptAt))
          .limit(limit)
          // Or two servers would send the same mails.
          .for('update', { skipLocked: true }),
      );
      const claimed = await db
        .with(due)
        .update(outbox)
        .set({ nextAttemptAt: leaseUntil, attempts: sql`${outbox.attempts} + 1` })
        .where(inArray(outbox.id, db.select({ id: due.id }).from(due)))
        .returning();
      // RETURNING knows no order.
      return claimed.toSorted((a, b) => a.createdAt - b.createdAt);
    },

    async remove(id) {
      await db.delete(outbox).where(eq(outbox.id, id));
    },

    async retryAt({ id, attempts }, at) {
      const stillClaimed = and(eq(outbox.id, id), eq(outbox.attempts, attempts));
      await db.update(outbox).set({ nextAttemptAt: at }).where(stillClaimed);
    },
  };
}
