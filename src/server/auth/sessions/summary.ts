import type { SessionSummary } from '../../../shared/sessions.ts';
import { describeDevice } from '../device.ts';
import { iso } from '../iso.ts';
import type { SessionRow } from './rotation.ts';

/** A session as people may see it, chosen field by field. */
export const summarize = ({ id, userAgent, ip, createdAt, lastSeenAt }: SessionRow): SessionSummary => ({
  id,
  device: describeDevice(userAgent),
  ip,
  createdAt: iso(createdAt),
  lastSeenAt: iso(lastSeenAt),
});
