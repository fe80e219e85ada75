/** What the session itself needs to know of a user; everything else is the app's. */
export interface Person {
  id: string;
}

/** What register, login and refresh answer. The refresh token is not part of it: it travels in an HTTP-only cookie. */
export interface Grant<TUser extends Person = Person> {
  accessToken: string;
  /** Seconds from now. A duration, so that the client need not trust its own clock. */
  expiresIn: number;
  /** Not secret. The generation orders the grants of a session without a clock. */
  session: { id: string; generation: number };
  user: TUser;
}

const END_REASONS = ['none', 'invalid', 'expired', 'revoked', 'reused'] as const;
/** Why the server says that a session is over: refreshing will not help, signing in will. */
export type SessionEndReason = (typeof END_REASONS)[number];

/** The result of a refresh. Only `ended` is definite; everything that is not understood is `unavailable`. */
export type RefreshOutcome<TUser extends Person = Person> =
  | { kind: 'granted'; grant: Grant<TUser> }
  | { kind: 'ended'; reason: SessionEndReason }
  | Unavailable;

export interface Unavailable {
  kind: 'unavailable';
  /** As the server asked. */
  retryAfterMs?: number;
  cause?: unknown;
}

const isId = (id: unknown): boolean => typeof id === 'string' && id !== '';

/** Checks what the session relies on. The rest of the user is for the app's `refresh` to check. */
export function isGrant(grant: unknown): grant is Grant {
  const { accessToken, expiresIn, session, user } = (grant ?? {}) as Partial<Grant>;
  return (
    isId(accessToken) &&
    Number.isFinite(expiresIn) &&
    expiresIn! > 0 &&
    isId(session?.id) &&
    Number.isSafeInteger(session?.generation) &&
    session!.generation > 0 &&
    isId(user?.id)
  );
}

/** Validates what an app's `refresh` returned: a malformed answer is no reason to sign anybody out. */
export function parseOutcome<TUser extends Person>(outcome: RefreshOutcome<TUser>): RefreshOutcome<TUser> {
  if (outcome?.kind === 'granted' && isGrant(outcome.grant)) return outcome;
  if (outcome?.kind === 'ended' && END_REASONS.includes(outcome.reason)) return outcome;
  // The cause must not quote the outcome: it may contain a token.
  if (outcome?.kind !== 'unavailable') throw new TypeError('refresh() returned a malformed outcome.');
  const { retryAfterMs = 0, cause } = outcome;
  return { kind: 'unavailable', retryAfterMs: retryAfterMs > 0 && retryAfterMs < Infinity ? retryAfterMs : 0, cause };
}
