import { stopwatch, type SessionEnvironment } from './environment.ts';
import type { Grant, Person, SessionEndReason } from './grant.ts';

const LEAD_MS = 60_000;
const JITTER_MS = 10_000;
/** A token with a shorter life than this is refreshed when needed, not in a loop. */
const PROACTIVE_MIN_MS = 5_000;
const PROACTIVE_SHARE = 0.75;
const FRESH_MS = 5_000;

/** How long before its expiry a token is refreshed ahead of time, and by how much that moment is spread. */
export interface Lead {
  leadMs?: number;
  jitterMs?: number;
}

export type Token<TUser extends Person> = ReturnType<typeof createToken<TUser>>;

/**
 * The access token of the page, and how old it is.
 * @param proactive false: it is not refreshed ahead of time
 */
export function createToken<TUser extends Person>(
  grant: Grant<TUser>,
  environment: SessionEnvironment,
  proactive: Lead | false = {},
) {
  const { leadMs = Infinity, jitterMs = JITTER_MS } = proactive || {};
  const lifetimeMs = grant.expiresIn * 1000;
  // The app's lead, where the token lives that long; otherwise a share of its life.
  const aheadMs =
    leadMs < lifetimeMs
      ? lifetimeMs - leadMs
      : Math.max(lifetimeMs - LEAD_MS, lifetimeMs * PROACTIVE_SHARE, PROACTIVE_MIN_MS);
  const refreshAtMs =
    proactive === false ? Infinity : aheadMs - environment.random() * Math.min(jitterMs, aheadMs / 10);
  const ageMs = stopwatch(environment);

  const token = {
    grant,
    /** Known to be dead, whatever the clock says. */
    isStale: false,
    /** The server has ended the session, but the token still works: the page signs out when it expires. */
    endReason: undefined as SessionEndReason | undefined,
    /** Until it expires; 0 or less afterwards. */
    leftMs: () => lifetimeMs - ageMs(),
    isUsable: () => !token.isStale && token.leftMs() > 0,
    /** Too young to have expired: where the server refuses it, the next one may fare no better. */
    isFresh: () => ageMs() < Math.min(FRESH_MS, lifetimeMs / 2),
    /** Until it is to be replaced in the background; Infinity: never. */
    dueInMs: () => (token.isStale ? 0 : (token.endReason ? lifetimeMs : refreshAtMs) - ageMs()),
  };
  return token;
}
