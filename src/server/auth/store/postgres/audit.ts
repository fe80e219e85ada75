import { aliasedTable, and, asc, desc, eq, getTableColumns, gt, gte, inArray, lt, sql } from 'drizzle-orm';
import type { PostgresDatabase } from '../../../db/postgres.ts';
import type { AuditStore } from '../open.ts';
import { auditEvents, users } from './tables.postgres.ts';

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

    async page({ userId, type, from, to, after, limit }) {
      const actors = aliasedTable(users, 'actors');
      return db
        .select({ ...getTableColumns(auditEvents), username: users.username, actorUsername: actors.username })
        .from(auditEvents)
        .leftJoin(users, eq(users.id, auditEvents.userId))
        .leftJoin(actors, eq(actors.id, auditEvents.actorId))
        .where(
          and(
            userId === undefined ? undefined : eq(auditEvents.userId, userId),
            type === undefined ? undefined : eq(auditEvents.type, type),
            from === undefined ? undefined : gte(auditEvents.at, from),
            to === undefined ? undefined : lt(auditEvents.at, to),
            after && sql`(${auditEvents.at}, ${auditEvents.id}) < (${after.at}, ${after.id})`,
          ),
        )
        .orderBy(desc(auditEvents.at), desc(auditEvents.id))
        .limit(limit);
    },

    async purge(before, limit) {
      const old = db.select({ id: auditEvents.id }).from(auditEvents).where(lt(auditEvents.at, before)).limit(limit);
      return (await db.delete(auditEvents).where(inArray(auditEvents.id, old))).rowCount ?? 0;
    },
  };
}
