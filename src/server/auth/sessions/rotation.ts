import type { SessionEndReason } from '../../../shared/failures.ts';

/*
 * The session protocol: pure decisions about one row, which the store takes inside one atomic step. All times are
 * milliseconds since the epoch. docs/architecture.md explains the terms.
 */

/** The reasons that are written to a row; expiring needs no write. */
export type EndReason = Extract<SessionEndReason, 'revoked' | 'reused'>;

/** One session. Rotation updates the row, so that nothing grows with use. */
export interface SessionRow {
  id: string;
  userId: string;
  /** From 1. */
  generation: number;
  /** When the refresh token that the others of this generation are compared with was issued. */
  issuedAt: number;
  /** The client has shown that it holds a token of this generation. Until then the answer that carried it may be lost. */
  confirmed: boolean;
  /** `issuedAt` of the previous generation; null where that is unknown. */
  previousIssuedAt: number | null;
  createdAt: number;
  lastSeenAt: number;
  /** Rotation does not move it. */
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

/** Two refresh tokens of one generation differ in `issuedAt` only, and are equal in effect. */
export interface RefreshClaims extends SessionClaims {
  issuedAt: number;
}

export interface AccessClaims extends SessionClaims {
  /** `issuedAt` of the refresh token that it came with. */
  refreshIssuedAt: number;
}

export interface Policy {
  refreshTokenLifetimeMs: number;
  sessionMaxAgeMs: number;
  reuseIntervalMs: number;
}

/**
 * How far apart an honest client can obtain two refresh tokens of one generation: twice the longest that a request may
 * take from reading the cookie to storing the answer (25 s), plus 10 s for servers whose clocks differ. With less than
 * that sum, rotation.model.test.ts fails at once.
 */
const REUSE_INTERVAL_MS = 60_000;

/** At most a tenth of the lifetime, so that short settings work too. @returns milliseconds */
export const reuseIntervalFor = (refreshTokenLifetimeMs: number) =>
  Math.min(REUSE_INTERVAL_MS, refreshTokenLifetimeMs / 10);

export type RefreshDecision =
  | { kind: 'ended'; reason: SessionEndReason }
  /** Two holders: end the session durably before answering. */
  | { kind: 'reused' }
  /** Just rotated: a new access token, the same cookie. `progress` is to be written where it is given. */
  | { kind: 'keep'; generation: number; progress?: Progress }
  /** A refresh token of the next generation, once `progress` is written. */
  | { kind: 'rotate'; generation: number; progress: Progress }
  /** Another refresh token of the current generation. Nothing to write. */
  | { kind: 'reissue'; generation: number };

/** Decides what redeeming a refresh token does. The caller has verified its signature and expiry. */
export function decideRefresh(
  row: SessionRow,
  claims: RefreshClaims,
  now: number,
  { reuseIntervalMs }: Policy,
): RefreshDecision {
  const reason = endReasonOf(row, claims, now);
  if (reason !== undefined) return { kind: 'ended', reason };

  // A later generation than the row's means that the row fell behind in a power cut: the signature proves that we issued it.
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
      return { kind: 'keep', generation, ...(behind || confirms ? { progress } : {}) };
    }
    const next = { generation: generation + 1, issuedAt: now, confirmed: false, previousIssuedAt: issuedAt };
    return { kind: 'rotate', generation: next.generation, progress: next };
  }

  if (claims.generation === generation - 1) {
    // Refresh tokens of the previous generation are held to the same rule as those of the current one.
    if (previousIssuedAt !== null && Math.abs(claims.issuedAt - previousIssuedAt) > reuseIntervalMs)
      return { kind: 'reused' };
    // The answer that carried the current generation was lost, or another tab was faster.
    if (!confirmed || now - issuedAt <= reuseIntervalMs) return { kind: 'reissue', generation };
  }
  return { kind: 'reused' };
}

export type CallDecision =
  | { kind: 'ended'; reason: SessionEndReason }
  | { kind: 'reused' }
  /** Where the call confirms its generation, `confirmedIssuedAt` is the `issuedAt` to write. */
  | { kind: 'authenticated'; confirmedIssuedAt?: number };

/** Decides what a protected call does. The caller has verified its access token's signature and expiry. */
export function decideCall(
  row: SessionRow,
  claims: AccessClaims,
  now: number,
  { reuseIntervalMs }: Policy,
): CallDecision {
  const reason = endReasonOf(row, claims, now);
  if (reason !== undefined) return { kind: 'ended', reason };
  // An access token of an older generation is good until it expires. So is one of a later generation (the row fell behind
  // in a power cut), but it writes nothing: only a refresh token makes the row catch up.
  if (claims.generation !== row.generation) return { kind: 'authenticated' };
  if (!row.confirmed) return { kind: 'authenticated', confirmedIssuedAt: claims.refreshIssuedAt };
  const twoHolders = Math.abs(claims.refreshIssuedAt - row.issuedAt) > reuseIntervalMs;
  return { kind: twoHolders ? 'reused' : 'authenticated' };
}

/** Why the session is over, or undefined while it is not. Never judged by `issuedAt` plus a lifetime. */
function endReasonOf(row: SessionRow, claims: SessionClaims, now: number): SessionEndReason | undefined {
  // Our own signature rules this out. Should it happen all the same, reveal and change nothing.
  if (row.userId !== claims.userId) return 'invalid';
  if (row.endedAt !== null) return row.endReason ?? 'revoked';
  return now >= row.expiresAt ? 'expired' : undefined;
}

function adopt({ generation, issuedAt }: RefreshClaims): Progress {
  return { generation, issuedAt, confirmed: true, previousIssuedAt: null };
}
