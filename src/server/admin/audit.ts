import * as z from 'zod/mini';
import { EVENTS_PER_PAGE, type AuditEntry, type AuditInput, type AuditPage } from '../../shared/admin.ts';
import type { NamedAuditRow } from '../auth/audit.ts';
import { describeDevice } from '../auth/device.ts';
import { iso } from '../auth/iso.ts';
import type { Context } from '../trpc.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';

/** The last event of a page. */
const positionSchema = z.strictObject({ at: z.int(), id: z.int() });

const toEntry = ({ userAgent, at, ...row }: NamedAuditRow): AuditEntry => ({
  ...row,
  at: iso(at),
  device: userAgent === null ? null : describeDevice(userAgent),
});

const timeOf = (date: string | undefined) => (date === undefined ? undefined : Date.parse(date));

/** A page of the audit, newest first. @throws FailureError if the cursor is none */
export async function auditPage(
  ctx: Context,
  { userId, type, from, to, cursor, limit = EVENTS_PER_PAGE }: AuditInput,
): Promise<AuditPage> {
  const after = await decodeCursor(ctx, cursor, positionSchema);
  const range = { userId, type, from: timeOf(from), to: timeOf(to), after };
  const rows = await ctx.services.auditPage({ ...range, limit: limit + 1 });
  const events = rows.slice(0, limit);
  const last = events.at(-1);
  const isMore = rows.length > limit && last !== undefined;
  return { events: events.map(toEntry), nextCursor: isMore ? encodeCursor({ at: last.at, id: last.id }) : null };
}
