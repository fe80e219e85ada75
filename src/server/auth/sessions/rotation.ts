import type { SessionEndReason } from '../../../shared/failures.ts';

/*
 * The session protocol: pure decisions about one row, made inside an atomic step of the store. All times are
 * milliseconds since the epoch. docs/architecture.md defines the terms.
 */

export type EndReason = Extract<SessionEndReason, 'revoked' | 'reused'>;

/** Rotation updates the row in place, so nothing grows with use. */
export interface SessionRow {
  id: string;
  userId: string;
  generation: number;
  /** `issuedAt` of the refresh token that others of this generation are compared with. */
  issuedAt: number;
  /** The client has shown that it holds a token of this generation; until then, the response may have been lost. */
  confirmed: boolean;
  previousIssuedAt: number | null;
  createdAt: number;
  lastSeenAt: number;
  /** When the person last proved who they are, with a password for example. */
  authenticatedAt: number;
  /** Whether the session outlives the browser. */
  remember: boolean;
  /** Fixed at sign-in: rotation does not extend it. */
  expiresAt: number;
  endedAt: number | null;
  endReason: EndReason | null;
  userAgent: string | null;
  ip: string | null;
}

type Progress = Pick<SessionRow, 'generation' | 'issuedAt' | 'confirmed' | 'previousIssuedAt'>;

interface SessionClaims {
  sessionId: string;
  userId: string;
  generation: number;
}

/** Interchangeable with others of its generation. */
export interface RefreshClaims extends SessionClaims {
  issuedAt: number;
}

export interface AccessClaims extends SessionClaims {
  /** `issuedAt` of the refresh token it was issued with. */
  refreshIssuedAt: number;
}

export interface Policy {
  refreshTokenLifetimeMs: number;
  sessionMaxAgeMs: number;
  reuseIntervalMs: number;
}

/**
 * How far apart an honest client can obtain two refresh tokens of one generation: twice the longest time from reading
 * the cookie to storing the response (25 s), plus 10 s of clock skew. Any less makes rotation.model.test.ts fail.
 */
const REUSE_INTERVAL_MS = 60_000;

/** At most a tenth of the lifetime, so that short lifetimes work too. @returns milliseconds */
export const reuseIntervalFor = (refreshTokenLifetimeMs: number) =>
  Math.min(REUSE_INTERVAL_MS, refreshTokenLifetimeMs / 10);

export type RefreshDecision =
  | { kind: 'ended'; reason: SessionEndReason }
  /** Two holders: end the session durably before answering. */
  | { kind: 'reused' }
  /** Just rotated: a new access token, same cookie. Write `progress` if present. */
  | { kind: 'keep'; progress?: Progress }
  | { kind: 'rotate'; progress: Progress }
  /** Another refresh token of the generation in the row. */
  | { kind: 'reissue' };

/** Decides what redeeming a refresh token does. The caller has verified its signature and expiry. */
export function decideRefresh(
  row: SessionRow,
  claims: RefreshClaims,
  now: number,
  { reuseIntervalMs }: Policy,
): RefreshDecision {
  const reason = endReasonOf(row, claims, now);
  if (reason !== undefined) return { kind: 'ended', reason };

  // The row fell behind in a power cut: the signature proves that we issued the later generation.
  const behind = claims.generation > row.generation;
  let { generation, issuedAt, confirmed, previousIssuedAt } = behind ? adopt(claims) : row;

  if (claims.generation === generation) {
    const confirms = !confirmed;
    if (confirms) {
      confirmed = true;
      issuedAt = claims.issuedAt;
    }
    if (Math.abs(claims.issuedAt - issuedAt) > reuseIntervalMs) return { kind: 'reused' };
    if (generation > 1 && now - issuedAt <= reuseIntervalMs) {
      const progress = { generation, issuedAt, confirmed, previousIssuedAt };
      return { kind: 'keep', ...(behind || confirms ? { progress } : {}) };
    }
    const next = { generation: generation + 1, issuedAt: now, confirmed: false, previousIssuedAt: issuedAt };
    return { kind: 'rotate', progress: next };
  }

  if (claims.generation === generation - 1) {
    if (previousIssuedAt !== null && Math.abs(claims.issuedAt - previousIssuedAt) > reuseIntervalMs)
      return { kind: 'reused' };
    // The response with the current generation was lost, or another tab was faster.
    if (!confirmed || now - issuedAt <= reuseIntervalMs) return { kind: 'reissue' };
  }
  return { kind: 'reused' };
}

export type CallDecision =
  | { kind: 'ended'; reason: SessionEndReason }
  | { kind: 'reused' }
  /** `confirmedIssuedAt`: the `issuedAt` to write if the call confirms its generation. */
  | { kind: 'authenticated'; confirmedIssuedAt?: number };

/** Decides what a protected call does. The caller has verified the signature and expiry of its access token. */
export function decideCall(
  row: SessionRow,
  claims: AccessClaims,
  now: number,
  { reuseIntervalMs }: Policy,
): CallDecision {
  const reason = endReasonOf(row, claims, now);
  if (reason !== undefined) return { kind: 'ended', reason };
  // An older generation is good until its token expires. So is a later one, which the row lost in a power cut, but it
  // writes nothing: only a refresh token makes the row catch up.
  if (claims.generation !== row.generation) return { kind: 'authenticated' };
  if (!row.confirmed) return { kind: 'authenticated', confirmedIssuedAt: claims.refreshIssuedAt };
  const twoHolders = Math.abs(claims.refreshIssuedAt - row.issuedAt) > reuseIntervalMs;
  return { kind: twoHolders ? 'reused' : 'authenticated' };
}

/** Undefined while the session lasts. Never derived from `issuedAt` plus a lifetime. */
function endReasonOf(row: SessionRow, claims: SessionClaims, now: number): SessionEndReason | undefined {
  // Our signature rules this out. If it happens anyway, reveal and change nothing.
  if (row.userId !== claims.userId) return 'invalid';
  if (row.endedAt !== null) return row.endReason ?? 'revoked';
  return now >= row.expiresAt ? 'expired' : undefined;
}

function adopt({ generation, issuedAt }: RefreshClaims): Progress {
  return { generation, issuedAt, confirmed: true, previousIssuedAt: null };
}
