import type { SessionEndReason } from '../../../shared/failures.ts';

/*
 * The session protocol: pure decisions over one row, taken by the store inside one atomic step.
 * All times are milliseconds since the epoch. The words (generation, copy, proved, WINDOW) are explained in
 * docs/architecture.md; the tests beside this file go through the table line by line.
 */

/** The reasons for which a row can be ended; expiring needs no write. */
export type EndReason = Extract<SessionEndReason, 'revoked' | 'reused'>;

/** One session. Rotating updates it; nothing grows with use. */
export interface SessionRow {
  id: string;
  userId: string;
  /** From 1. */
  generation: number;
  /** The date of the copy of this generation by which the copies are compared. */
  issuedAt: number;
  /** The client has shown that it holds a copy of this generation. Until then the answer may have been lost. */
  proved: boolean;
  /** `issuedAt` of the generation before, while that may still be honoured. */
  previousIssuedAt: number | null;
  createdAt: number;
  lastSeenAt: number;
  /** Absolute: no rotation moves it. */
  expiresAt: number;
  endedAt: number | null;
  endReason: EndReason | null;
  userAgent: string | null;
  ip: string | null;
}

/** What changes with use. */
export type Progress = Pick<SessionRow, 'generation' | 'issuedAt' | 'proved' | 'previousIssuedAt'>;

/** A refresh token as the protocol sees it: a copy of a generation, with its date. */
export interface Copy {
  sessionId: string;
  userId: string;
  generation: number;
  date: number;
}

/** An access token as the protocol sees it: `date` is that of the copy that it came with. */
export type Call = Copy;

/** Milliseconds. */
export interface Policy {
  refreshTokenLifetime: number;
  sessionMaxAge: number;
  window: number;
}

/**
 * How far apart two copies of one generation can be obtained honestly: twice the longest that a request may take from
 * reading the cookie to storing the answer (25 s), and 10 s for servers whose clocks differ. The model in
 * protocol.model.test.ts breaks at once where it is less than that sum.
 */
const WINDOW = 60_000;

/** @param refreshTokenLifetime milliseconds @returns milliseconds */
export const windowFor = (refreshTokenLifetime: number) => Math.min(WINDOW, refreshTokenLifetime / 10);

export type Redemption =
  /** Nothing to write. */
  | { kind: 'ended'; reason: SessionEndReason }
  /** In two hands: the session is to be ended, synced to disk, before anybody is told. */
  | { kind: 'reused' }
  /** Just rotated: a new access token, no new cookie. `progress` is to be written where it is given. */
  | { kind: 'rest'; generation: number; progress?: Progress }
  /** The next generation, written. */
  | { kind: 'rotate'; generation: number; progress: Progress }
  /** Another copy of the current generation; nothing is written. */
  | { kind: 'repeat'; generation: number };

/** What redeeming a copy does, by the first line of the table that fits. The copy is signed by us and not expired. */
export function judgeRedemption(row: SessionRow, copy: Copy, now: number, { window }: Policy): Redemption {
  const reason = endOf(row, copy, now);
  if (reason !== undefined) return { kind: 'ended', reason };

  let { generation, issuedAt, proved, previousIssuedAt } = row;

  // The row fell behind in a power cut: the signature proves that we issued this generation.
  const behind = copy.generation > generation;
  if (behind) ({ generation, issuedAt, proved, previousIssuedAt } = adopt(copy));

  if (copy.generation === generation) {
    const proof = !proved;
    if (proof) {
      proved = true;
      issuedAt = copy.date;
    }
    if (Math.abs(copy.date - issuedAt) > window) return { kind: 'reused' };
    const progress = { generation, issuedAt, proved, previousIssuedAt };
    if (generation > 1 && now - issuedAt <= window)
      return behind || proof ? { kind: 'rest', generation, progress } : { kind: 'rest', generation };
    const next = { generation: generation + 1, issuedAt: now, proved: false, previousIssuedAt: issuedAt };
    return { kind: 'rotate', generation: next.generation, progress: next };
  }

  if (copy.generation === generation - 1) {
    // The copies of the predecessor are held to the same rule as those of the current generation.
    if (previousIssuedAt !== null && Math.abs(copy.date - previousIssuedAt) > window) return { kind: 'reused' };
    // The answer that carried the current generation was lost, or another tab was faster.
    if (!proved || now - issuedAt <= window) return { kind: 'repeat', generation };
  }
  return { kind: 'reused' };
}

export type CallJudgement =
  | { kind: 'ended'; reason: SessionEndReason }
  | { kind: 'reused' }
  /** `provedBy` is the new `issuedAt`, where this call is the proof of its generation. */
  | { kind: 'good'; provedBy?: number };

/** What a protected call does. Its token is signed by us and not expired. */
export function judgeCall(row: SessionRow, call: Call, now: number, { window }: Policy): CallJudgement {
  const reason = endOf(row, call, now);
  if (reason !== undefined) return { kind: 'ended', reason };
  // A token of an older generation is good until it expires. So is one of a later generation (the row fell behind in a
  // power cut), and it writes nothing: only redeeming a copy catches up.
  if (call.generation !== row.generation) return { kind: 'good' };
  if (!row.proved) return { kind: 'good', provedBy: call.date };
  return Math.abs(call.date - row.issuedAt) > window ? { kind: 'reused' } : { kind: 'good' };
}

/** Why the session is over, or undefined while it is not. Judged by the row alone, never by `issuedAt` plus a lifetime. */
function endOf(row: SessionRow, of: Copy, now: number): SessionEndReason | undefined {
  // Signed with our key, so this cannot be; were it so, nothing about the session may be told or changed.
  if (row.userId !== of.userId) return 'invalid';
  if (row.endedAt !== null) return row.endReason ?? 'revoked';
  return now >= row.expiresAt ? 'expired' : undefined;
}

function adopt(copy: Copy): Progress {
  return { generation: copy.generation, issuedAt: copy.date, proved: true, previousIssuedAt: null };
}
