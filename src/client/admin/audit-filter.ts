import type { AuditType } from '../../server/auth/audit.ts';
import { isEventType } from './sentences.tsx';

/** What `admin.audit` takes. Dates are ISO 8601 in UTC. */
export interface AuditFilter {
  userId?: string;
  type?: AuditType;
  from?: string;
  to?: string;
}

/** Reads the filter from the address, leaving out what is not valid there. */
export function filterFrom(params: URLSearchParams): AuditFilter {
  const [person = '', type = '', from, to] = ['person', 'type', 'from', 'to'].map((name) => params.get(name)?.trim());
  const [fromDate, toDate] = [from, to].map(isoDate);
  return {
    ...(person !== '' && { userId: person }),
    ...(isEventType(type) && { type }),
    ...(fromDate !== undefined && { from: fromDate }),
    ...(toDate !== undefined && { to: toDate }),
  };
}

/** The address of the filter. */
export function paramsFor({ userId, ...filter }: AuditFilter): Record<string, string> {
  return { ...(userId !== undefined && { person: userId }), ...filter };
}

/** @param text of a `datetime-local` field, which is in the time zone of the person, or ISO 8601 */
export function isoDate(text: string | undefined): string | undefined {
  const date = new Date(text ?? '');
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

/** The opposite: for a `datetime-local` field. @param iso undefined for an empty field */
export function localDate(iso: string | undefined): string {
  if (iso === undefined) return '';
  const date = new Date(iso);
  const two = (part: number) => String(part).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}`;
}
