import { stopwatch, type SessionEnvironment } from './environment.ts';
import type { Grant, Person, SessionEndReason } from './grant.ts';

const LEAD_MS = 60_000;
const JITTER_MS = 10_000;
/** A token with a shorter life than this is refreshed when needed, not in a loop. */
const PROACTIVE_MIN_MS = 5_000;
const PROACTIVE_SHARE = 0.75;

/** How long before its expiry a token is refreshed ahead of time, and by how much that moment is spread. */
export interface Lead {
  leadMs?: number;
  jitterMs?: number;
}

/** The access token of the page, and how old it is. */
export interface Token<TUser extends Person> {
  grant: Grant<TUser>;
  readonly lifetimeMs: number;
  /** Known to be dead, whatever the clock says. */
  isStale: boolean;
  /** The server has ended the session, but the token still works: the page signs out when it expires. */
  endReason?: SessionEndReason;
  ageMs(): number;
  /** Until it expires; 0 or less afterwards. */
  leftMs(): number;
  /** Until it is to be refreshed ahead of time. */
  dueInMs(): number;
  isUsable(): boolean;
}

export function createToken<TUser extends Person>(
  grant: Grant<TUser>,
  environment: SessionEnvironment,
  { leadMs = Infinity, jitterMs = JITTER_MS }: Lead,
): Token<TUser> {
  const lifetimeMs = grant.expiresIn * 1000;
  // The app's lead, where the token lives that long; otherwise a share of its life.
  const dueMs =
    leadMs < lifetimeMs
      ? lifetimeMs - leadMs
      : Math.max(lifetimeMs - LEAD_MS, lifetimeMs * PROACTIVE_SHARE, PROACTIVE_MIN_MS);
  const refreshAtMs = dueMs - environment.random() * Math.min(jitterMs, dueMs / 10);
  const ageMs = stopwatch(environment);
  const token: Token<TUser> = {
    grant,
    lifetimeMs,
    isStale: false,
    ageMs,
    leftMs: () => lifetimeMs - ageMs(),
    dueInMs: () => refreshAtMs - ageMs(),
    isUsable: () => !token.isStale && token.leftMs() > 0,
  };
  return token;
}
