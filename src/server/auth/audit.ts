import type { Request } from 'express';
import { isOutage } from '../db/sqlite.ts';
import type { Logger } from '../log.ts';
import { networkOf } from './limits/client-network.ts';

/** What an operator wants to find again. Refreshing is not among it: that happens all the time. */
type AuditType =
  | 'registered'
  | 'signed_in'
  | 'sign_in_failed'
  | 'signed_out'
  /** A session gave way to another one in the same browser. */
  | 'ended'
  /** A session was found to be in two hands, and ended. */
  | 'reused'
  /** The first call in a while that a limit refused. */
  | 'limited'
  | 'origin_refused';

export interface AuditEvent {
  type: AuditType;
  userId?: string | undefined;
  sessionId?: string | undefined;
  /** What it was about where that is no account or session of ours: an identifier, a limit, an origin. Never a secret. */
  detail?: string | undefined;
}

export interface StoredAuditEvent extends AuditEvent {
  /** Milliseconds since the epoch. */
  at: number;
  ip: string | undefined;
  userAgent: string | undefined;
}

/** In characters. */
const TEXT_MAX_LENGTH = 256;
/** A refusal of one kind from one address is noted once in this time, or an attacker could fill the disk with them. In milliseconds. */
const REFUSAL_INTERVAL = 60_000;
/** How many such kinds and addresses are kept apart; past that the oldest is forgotten. */
const REFUSALS_KEPT = 10_000;
const REFUSALS: ReadonlySet<AuditType> = new Set<AuditType>(['limited', 'origin_refused']);

/** Writes what happened to accounts and sessions into the database and the log. */
export function createAudit(options: {
  write: (event: StoredAuditEvent) => Promise<void>;
  log: Logger;
  clock: () => number;
}) {
  const { write, log, clock } = options;
  const lastRefusals = new Map<string, number>();

  function isRepeated(key: string, now: number): boolean {
    const last = lastRefusals.get(key);
    if (last !== undefined && now - last < REFUSAL_INTERVAL) return true;
    lastRefusals.delete(key);
    lastRefusals.set(key, now);
    const [oldest] = lastRefusals.keys();
    if (lastRefusals.size > REFUSALS_KEPT && oldest !== undefined) lastRefusals.delete(oldest);
    return false;
  }

  return {
    async record(request: Request, event: AuditEvent): Promise<void> {
      const at = clock();
      const detail = event.detail?.slice(0, TEXT_MAX_LENGTH);
      if (REFUSALS.has(event.type) && isRepeated(`${event.type} ${networkOf(request.ip)}`, at)) return;
      const userAgent = request.get('user-agent')?.slice(0, TEXT_MAX_LENGTH);
      const stored = { ...event, detail, at, ip: request.ip?.slice(0, TEXT_MAX_LENGTH), userAgent };
      log.info({ audit: stored }, event.type);
      try {
        await write(stored);
      } catch (error) {
        // What it reports has happened, and its answer stands. The line above is left of it.
        if (!isOutage(error)) throw error;
        log.error({ err: error }, 'An audit event is in the log only.');
      }
    },
  };
}
export type Audit = ReturnType<typeof createAudit>;
