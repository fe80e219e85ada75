import { inArray, lt } from 'drizzle-orm';
import type { SqliteDatabase } from '../../../db/sqlite.ts';
import type { StoredAuditEvent } from '../../audit.ts';
import { auditEvents } from './tables.sqlite.ts';

/** Audit events in SQLite. They do not wait for the disk: what they report is on it already, or has changed nothing. */
export function sqliteAudit({ db, relaxed, verb }: SqliteDatabase) {
  return {
    write: verb((event: StoredAuditEvent): void => void relaxed(() => db.insert(auditEvents).values(event).run())),

    /** Removes at most `limit` events from before `before`. @returns how many */
    purge: verb((before: number, limit: number): number => {
      const old = db.select({ id: auditEvents.id }).from(auditEvents).where(lt(auditEvents.at, before)).limit(limit);
      return relaxed(() => db.delete(auditEvents).where(inArray(auditEvents.id, old)).run().changes);
    }),
  };
}
