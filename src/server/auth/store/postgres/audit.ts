import { and, asc, eq, gt, inArray, lt } from 'drizzle-orm';
import type { PostgresDatabase } from '../../../db/postgres.ts';
import type { AuditStore } from '../open.ts';
import { auditEvents } from './tables.postgres.ts';

/** Audit events in PostgreSQL. */
export function postgresAudit({ db }: Pick<PostgresDatabase, 'db'>): AuditStore {
  return {
    async write(event) {
      await db.insert(auditEvents).values(event);
    },

    async ofUser(userId, after, limit) {
      return db
        .select()
        .from(auditEvents)
        .where(and(eq(auditEvents.userId, userId), gt(auditEvents.id, after)))
        .orderBy(asc(auditEvents.id))
        .limit(limit);
    },

    async purge(before, limit) {
      const old = db.select({ id: auditEvents.id }).from(auditEvents).where(lt(auditEvents.at, before)).limit(limit);
      return (await db.delete(auditEvents).where(inArray(auditEvents.id, old))).rowCount ?? 0;
    },
  };
}
