import type { Request } from 'express';
import { isDatabaseUnavailable } from '../db/errors.ts';
import type { Logger } from '../log.ts';
import { clientAddress, clientNetwork } from './limits/client-network.ts';

/**
 * What the audit records; features add their own types here. Anyone can trigger any number of `sampled` events and
 * fill the disk, so those are limited to one a minute per network.
 */
const AUDIT_TYPES = {
  registered: 'always',
  registration_requested: 'always',
  signed_in: 'always',
  sign_in_failed: 'always',
  reauthenticated: 'always',
  reauthentication_failed: 'always',
  signed_out: 'always',
  other_sessions_ended: 'always',
  username_changed: 'always',
  password_changed: 'always',
  exported: 'always',
  account_deleted: 'always',
  email_verified: 'always',
  email_change_requested: 'always',
  email_changed: 'always',
  password_reset_requested: 'always',
  password_reset: 'always',
  ended: 'always',
  reused: 'always',
  sessions_ended: 'always',
  role_changed: 'always',
  disabled: 'always',
  enabled: 'always',
  mail_given_up: 'always',
  limited: 'sampled',
  origin_refused: 'sampled',
} as const;
export type AuditType = keyof typeof AUDIT_TYPES;

export interface AuditEvent {
  type: AuditType;
  userId?: string | undefined;
  /** Who did it, where that is not the user. */
  actorId?: string | undefined;
  sessionId?: string | undefined;
  /** An account key or an origin, for example. Never a secret. */
  detail?: string | undefined;
}

export interface StoredAuditEvent extends AuditEvent {
  at: number;
  ip: string | undefined;
  userAgent: string | undefined;
}

/** An event as read back. Ids increase, but not without gaps. */
export interface AuditRow {
  id: number;
  at: number;
  type: string;
  userId: string | null;
  actorId: string | null;
  sessionId: string | null;
  ip: string | null;
  userAgent: string | null;
  detail: string | null;
}

/** With the names of today; null where the account is gone. */
export interface NamedAuditRow extends AuditRow {
  username: string | null;
  actorUsername: string | null;
}

const TEXT_MAX_LENGTH = 256;
const SAMPLE_INTERVAL_MS = 60_000;
const SAMPLES_MAX = 10_000;

/** Records account and session events in the database and the log. Refreshes are too frequent to record. */
export function createAudit(options: {
  write: (event: StoredAuditEvent) => Promise<void>;
  log: Logger;
  clock: () => number;
}) {
  const { write, log, clock } = options;
  const samples = new Map<string, number>();

  function wasSampled(key: string, now: number): boolean {
    const last = samples.get(key);
    if (last !== undefined && now - last < SAMPLE_INTERVAL_MS) return true;
    samples.delete(key);
    samples.set(key, now);
    const [oldest] = samples.keys();
    if (samples.size > SAMPLES_MAX && oldest !== undefined) samples.delete(oldest);
    return false;
  }

  return {
    /**
     * Does not reject if the database is unavailable: what it records has already happened.
     * @param request undefined for what no request has caused
     */
    async record(request: Request | undefined, event: AuditEvent): Promise<void> {
      const at = clock();
      const network = request === undefined ? 'none' : clientNetwork(request);
      if (AUDIT_TYPES[event.type] === 'sampled' && wasSampled(`${event.type} ${network}`, at)) return;
      const stored = {
        ...event,
        detail: event.detail?.slice(0, TEXT_MAX_LENGTH),
        at,
        ip: request && clientAddress(request),
        userAgent: request?.get('user-agent')?.slice(0, TEXT_MAX_LENGTH),
      };
      log.info({ audit: stored }, event.type);
      try {
        await write(stored);
      } catch (error) {
        if (!isDatabaseUnavailable(error)) throw error;
        log.error({ err: error }, 'Could not write an audit event to the database; it is only in the log');
      }
    },
  };
}
