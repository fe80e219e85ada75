import { and, asc, eq, gt, inArray, lt } from 'drizzle-orm';
import type { SqliteDatabase } from '../../../db/sqlite.ts';
import type { AuditStore } from '../open.ts';
import { auditEvents } from './tables.sqlite.ts';

/** Audit events in SQLite. Without fsync: what an event reports is durable already, or changed nothing. */
export function sqliteAudit({ db, withoutFsync }: SqliteDatabase): AuditStore {
  return {
    async write(event) {
      withoutFsync(() => db.insert(auditEvents).values(event).run());
    },

    async ofUser(userId, after, limit) {
      return db
        .select()
        .from(auditEvents)
        .where(and(eq(auditEvents.userId, userId), gt(auditEvents.id, after)))
        .orderBy(asc(auditEvents.id))
        .limit(limit)
        .all();
    },

    async purge(before, limit) {
      const old = db.select({ id: auditEvents.id }).from(auditEvents).where(lt(auditEvents.at, before)).limit(limit);
      return withoutFsync(() => db.delete(auditEvents).where(inArray(auditEvents.id, old)).run().changes);
    },
  };
}
