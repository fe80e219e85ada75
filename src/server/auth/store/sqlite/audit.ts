import { inArray, lt } from 'drizzle-orm';
import type { SqliteDatabase } from '../../../db/sqlite.ts';
import type { StoredAuditEvent } from '../../audit.ts';
import { auditEvents } from './tables.sqlite.ts';

/** Audit events in SQLite. Without fsync: what an event reports is durable already, or changed nothing. */
export function sqliteAudit({ db, withoutFsync }: SqliteDatabase) {
  return {
    async write(event: StoredAuditEvent): Promise<void> {
      withoutFsync(() => db.insert(auditEvents).values(event).run());
    },

    /** Deletes at most `limit` events with `at` before `before`. @returns the number of rows deleted */
    async purge(before: number, limit: number): Promise<number> {
      const old = db.select({ id: auditEvents.id }).from(auditEvents).where(lt(auditEvents.at, before)).limit(limit);
      return withoutFsync(() => db.delete(auditEvents).where(inArray(auditEvents.id, old)).run().changes);
    },
  };
}
