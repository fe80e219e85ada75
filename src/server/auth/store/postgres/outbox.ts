import { asc, eq, inArray, lte, sql } from 'drizzle-orm';
import type { PostgresDatabase } from '../../../db/postgres.ts';
import type { OutboxStore } from '../../../mail/outbox-store.ts';
import { outbox } from './tables.postgres.ts';

/** The outbox in PostgreSQL, shared by all servers. */
export function postgresOutbox({ db }: Pick<PostgresDatabase, 'db'>): OutboxStore {
  return {
    async claim({ now, leaseUntil, limit }) {
      const due = db
        .select({ id: outbox.id })
        .from(outbox)
        .where(lte(outbox.nextAttemptAt, now))
        .orderBy(asc(outbox.nextAttemptAt))
        .limit(limit)
        // Or two servers would send the same mails.
        .for('update', { skipLocked: true });
      return db
        .update(outbox)
        .set({ nextAttemptAt: leaseUntil, attempts: sql`${outbox.attempts} + 1` })
        .where(inArray(outbox.id, due))
        .returning();
    },

    async remove(id) {
      await db.delete(outbox).where(eq(outbox.id, id));
    },

    async retryAt(id, at) {
      await db.update(outbox).set({ nextAttemptAt: at }).where(eq(outbox.id, id));
    },
  };
}
