import type { Grant } from '../../shared/auth.ts';
import type { SessionEndReason } from '../../shared/failures.ts';
import { stopwatch, type SessionEnvironment } from './session-environment.ts';

const LEAD_MS = 60_000;
const JITTER_MS = 10_000;
/** A token that lives shorter than this is refreshed when needed, not in a circle. */
const PROACTIVE_MIN_MS = 5_000;
const PROACTIVE_SHARE = 0.75;

/** How long before a token expires, and spread by how much, it is refreshed. */
export interface Lead {
  leadMs?: number;
  jitterMs?: number;
}

/** An access token as it grows old. */
export interface Token {
  grant: Grant;
  readonly lifetimeMs: number;
  /** Known to be dead, whatever the clock says. */
  stale: boolean;
  /** The server has ended the session, but the token still works: until it expires. */
  doomed?: SessionEndReason;
  /** Until it expires; 0 or less from then on. */
  leftMs(): number;
  /** Until it is to be refreshed ahead of time. */
  dueInMs(): number;
  isUsable(): boolean;
  /** By the wall clock, which the tabs of one machine share. */
  expiresAt(): number;
  /** Orders grants of one session: by generation, then by when they expire. A copy of a dead token is not newer. */
  isOlderThan(other: Grant): boolean;
}

export function createToken(grant: Grant, environment: SessionEnvironment, lead: Lead): Token {
  const { leadMs = Infinity, jitterMs = JITTER_MS } = lead;
  const lifetimeMs = grant.expiresIn * 1000;
  // As long before as the app wants, where the token lives that long. Without a wish, or for shorter lives, what suits any.
  const dueMs =
    leadMs < lifetimeMs
      ? lifetimeMs - leadMs
      : Math.max(lifetimeMs - LEAD_MS, lifetimeMs * PROACTIVE_SHARE, PROACTIVE_MIN_MS);
  const refreshAtMs = dueMs - environment.random() * Math.min(jitterMs, dueMs / 10);
  const ageMs = stopwatch(environment);
  const token: Token = {
    grant,
    lifetimeMs,
    stale: false,
    leftMs: () => lifetimeMs - ageMs(),
    dueInMs: () => refreshAtMs - ageMs(),
    isUsable: () => !token.stale && token.leftMs() > 0,
    expiresAt: () => environment.now() + token.leftMs(),
    isOlderThan({ accessToken, expiresIn, session: { generation } }) {
      const mine = token.grant;
      if (generation !== mine.session.generation) return generation > mine.session.generation;
      return accessToken !== mine.accessToken && (token.stale || expiresIn * 1000 > token.leftMs());
    },
  };
  return token;
}
