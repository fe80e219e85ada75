import { describe, expect, it } from 'vitest';
import {
  decideCall,
  decideRefresh,
  reuseIntervalFor,
  type AccessClaims,
  type Policy,
  type RefreshClaims,
  type SessionRow,
} from './rotation.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const REUSE_INTERVAL = MINUTE;
/** When the row's generation was issued. All other times are relative to it. */
const ISSUED = Date.UTC(2030, 0, 10);
const policy: Policy = { refreshTokenLifetimeMs: 7 * DAY, sessionMaxAgeMs: 30 * DAY, reuseIntervalMs: REUSE_INTERVAL };

/** Generation 5 is confirmed and was issued an hour after generation 4. */
function row(changes: Partial<SessionRow> = {}): SessionRow {
  return {
    id: 'session',
    userId: 'anna',
    generation: 5,
    issuedAt: ISSUED,
    confirmed: true,
    previousIssuedAt: ISSUED - 60 * MINUTE,
    createdAt: ISSUED - DAY,
    lastSeenAt: ISSUED,
    authenticatedAt: ISSUED,
    remember: true,
    expiresAt: ISSUED + 29 * DAY,
    endedAt: null,
    endReason: null,
    userAgent: null,
    ip: null,
    ...changes,
  };
}

function token(generation = 5, issuedAt = ISSUED, userId = 'anna'): RefreshClaims {
  return { sessionId: 'session', userId, generation, issuedAt };
}

function access(generation = 5, refreshIssuedAt = ISSUED, userId = 'anna'): AccessClaims {
  return { sessionId: 'session', userId, generation, refreshIssuedAt };
}

const redeem = (row: SessionRow, claims: RefreshClaims, now: number) => decideRefresh(row, claims, now, policy);
const call = (row: SessionRow, claims: AccessClaims, now: number) => decideCall(row, claims, now, policy);

const LATER = ISSUED + 15 * MINUTE;

describe('a session that has ended or expired', () => {
  it.each(['revoked', 'reused'] as const)('answers %s, whatever the token', (endReason) => {
    const ended = row({ endedAt: ISSUED, endReason });
    const answer = { kind: 'ended', reason: endReason };
    for (const generation of [1, 4, 5, 6, 99]) expect(redeem(ended, token(generation), LATER)).toEqual(answer);
    expect(redeem(ended, token(5, ISSUED - DAY), LATER)).toEqual(answer);
    expect(call(ended, access(), LATER)).toEqual(answer);
    expect(call(ended, access(5, ISSUED - DAY), LATER)).toEqual(answer);
  });

  it('is treated as revoked when no reason was stored', () => {
    expect(redeem(row({ endedAt: 0, endReason: null }), token(), LATER)).toEqual({ kind: 'ended', reason: 'revoked' });
  });

  it('expires at exactly expiresAt', () => {
    const { expiresAt } = row();
    expect(redeem(row(), token(), expiresAt - 1)).toMatchObject({ kind: 'rotate' });
    expect(redeem(row(), token(), expiresAt)).toEqual({ kind: 'ended', reason: 'expired' });
    expect(call(row(), access(), expiresAt - 1)).toEqual({ kind: 'authenticated' });
    expect(call(row(), access(), expiresAt)).toEqual({ kind: 'ended', reason: 'expired' });
  });

  it('keeps its end reason after it expires', () => {
    const both = row({ endedAt: ISSUED, endReason: 'revoked' });
    expect(redeem(both, token(), both.expiresAt + DAY)).toEqual({ kind: 'ended', reason: 'revoked' });
  });

  it('does not expire by the age of its generation', () => {
    expect(redeem(row(), token(), ISSUED + 28 * DAY)).toMatchObject({ kind: 'rotate' });
  });

  it('answers invalid for a token of another user, and does not reveal how it ended', () => {
    const foreign = token(5, ISSUED, 'bert');
    const invalid = { kind: 'ended', reason: 'invalid' };
    expect(redeem(row(), foreign, LATER)).toEqual(invalid);
    expect(call(row(), access(5, ISSUED, 'bert'), LATER)).toEqual(invalid);
    expect(redeem(row({ endedAt: 1, endReason: 'reused' }), foreign, LATER)).toEqual(invalid);
    expect(redeem(row({ expiresAt: 1 }), foreign, LATER)).toEqual(invalid);
    expect(redeem(row(), { ...foreign, generation: 1 }, LATER)).toEqual(invalid);
  });
});

describe('redeeming a token of the current generation', () => {
  it('rotates to an unconfirmed generation and remembers when the previous one was issued', () => {
    expect(redeem(row(), token(), LATER)).toEqual({
      kind: 'rotate',
      progress: { generation: 6, issuedAt: LATER, confirmed: false, previousIssuedAt: ISSUED },
    });
  });

  it('keeps the cookie and writes nothing for the reuse interval after a rotation', () => {
    const keep = { kind: 'keep' };
    expect(redeem(row(), token(), ISSUED)).toEqual(keep);
    expect(redeem(row(), token(), ISSUED + REUSE_INTERVAL)).toEqual(keep);
    expect(redeem(row(), token(), ISSUED + REUSE_INTERVAL + 1)).toMatchObject({
      kind: 'rotate',
      progress: { generation: 6 },
    });
  });

  it('keeps the cookie when a server whose clock is ahead rotated', () => {
    expect(redeem(row(), token(), ISSUED - 10_000)).toEqual({ kind: 'keep' });
  });

  it('always rotates generation 1, which has no predecessor still in flight', () => {
    const first = row({ generation: 1, previousIssuedAt: null });
    expect(redeem(first, token(1), ISSUED)).toMatchObject({ kind: 'rotate', progress: { generation: 2 } });
    expect(redeem(row({ generation: 2 }), token(2), ISSUED)).toEqual({ kind: 'keep' });
  });

  it('confirms the generation by the issuedAt of the token, and keeps the cookie if that is recent', () => {
    const issuedAt = ISSUED + 20 * MINUTE;
    expect(redeem(row({ confirmed: false }), token(5, issuedAt), issuedAt + REUSE_INTERVAL)).toEqual({
      kind: 'keep',
      progress: { generation: 5, issuedAt, confirmed: true, previousIssuedAt: ISSUED - 60 * MINUTE },
    });
  });

  it('confirms and rotates in one step if the token is older', () => {
    const issuedAt = ISSUED + 20 * MINUTE;
    const now = issuedAt + REUSE_INTERVAL + 1;
    expect(redeem(row({ confirmed: false }), token(5, issuedAt), now)).toEqual({
      kind: 'rotate',
      progress: { generation: 6, issuedAt: now, confirmed: false, previousIssuedAt: issuedAt },
    });
  });

  it('accepts any issuedAt until the generation is confirmed', () => {
    for (const issuedAt of [ISSUED - DAY, ISSUED + DAY])
      expect(redeem(row({ confirmed: false }), token(5, issuedAt), ISSUED + 2 * DAY)).toMatchObject({ kind: 'rotate' });
  });

  it('detects reuse when tokens of a confirmed generation were issued further apart than the reuse interval', () => {
    for (const side of [1, -1]) {
      expect(redeem(row(), token(5, ISSUED + side * REUSE_INTERVAL), LATER)).toMatchObject({ kind: 'rotate' });
      expect(redeem(row(), token(5, ISSUED + side * (REUSE_INTERVAL + 1)), LATER)).toEqual({ kind: 'reused' });
    }
  });

  it('detects reuse even right after a rotation', () => {
    expect(redeem(row(), token(5, ISSUED - REUSE_INTERVAL - 1), ISSUED)).toEqual({ kind: 'reused' });
  });
});

describe('redeeming a token of a later generation, which the row lost in a power cut', () => {
  it('adopts the generation as confirmed, and rotates from there', () => {
    expect(redeem(row(), token(9, ISSUED + MINUTE), LATER)).toEqual({
      kind: 'rotate',
      progress: { generation: 10, issuedAt: LATER, confirmed: false, previousIssuedAt: ISSUED + MINUTE },
    });
  });

  it('adopts the generation and keeps the cookie if the token is recent', () => {
    for (const confirmed of [true, false])
      expect(redeem(row({ confirmed }), token(6, LATER), LATER + REUSE_INTERVAL)).toEqual({
        kind: 'keep',
        progress: { generation: 6, issuedAt: LATER, confirmed: true, previousIssuedAt: null },
      });
  });

  it('does not adopt a generation of an ended session', () => {
    const ended = row({ endedAt: ISSUED, endReason: 'revoked' });
    expect(redeem(ended, token(9), LATER)).toEqual({ kind: 'ended', reason: 'revoked' });
  });
});

describe('redeeming a token of the previous generation', () => {
  const before = ISSUED - 60 * MINUTE;

  it('reissues the current generation until it is confirmed, however long that takes', () => {
    const unconfirmed = row({ confirmed: false });
    for (const now of [ISSUED, ISSUED + REUSE_INTERVAL + 1, ISSUED + 6 * DAY])
      expect(redeem(unconfirmed, token(4, before), now)).toEqual({ kind: 'reissue' });
  });

  it('reissues a confirmed generation for the reuse interval, because another tab may have been faster', () => {
    expect(redeem(row(), token(4, before), ISSUED + REUSE_INTERVAL)).toEqual({ kind: 'reissue' });
    expect(redeem(row(), token(4, before), ISSUED + REUSE_INTERVAL + 1)).toEqual({ kind: 'reused' });
  });

  it('reissues when the clock of this server is behind', () => {
    expect(redeem(row(), token(4, before), ISSUED - 10_000)).toEqual({ kind: 'reissue' });
  });

  it('detects reuse when its tokens were issued further apart than the reuse interval, confirmed or not', () => {
    for (const confirmed of [true, false])
      for (const side of [1, -1]) {
        expect(redeem(row({ confirmed }), token(4, before + side * REUSE_INTERVAL), ISSUED)).toMatchObject({
          kind: 'reissue',
        });
        expect(redeem(row({ confirmed }), token(4, before + side * (REUSE_INTERVAL + 1)), ISSUED)).toEqual({
          kind: 'reused',
        });
      }
  });

  it('cannot compare its tokens after a power cut, but still limits reissuing', () => {
    const caughtUp = row({ previousIssuedAt: null });
    expect(redeem(caughtUp, token(4, before - DAY), ISSUED)).toEqual({ kind: 'reissue' });
    expect(redeem(caughtUp, token(4, before), ISSUED + REUSE_INTERVAL + 1)).toEqual({ kind: 'reused' });
  });

  it('does not mistake a previousIssuedAt of 0 for null', () => {
    expect(redeem(row({ previousIssuedAt: 0 }), token(4, before), ISSUED)).toEqual({ kind: 'reused' });
  });
});

describe('a decision', () => {
  it.each([3, 2, 1])('detects reuse of generation %i of 5, whatever the state of the row', (generation) => {
    for (const confirmed of [true, false])
      for (const previousIssuedAt of [null, ISSUED])
        for (const now of [ISSUED, LATER])
          expect(redeem(row({ confirmed, previousIssuedAt }), token(generation), now)).toEqual({ kind: 'reused' });
  });

  it('leaves the row it was given unchanged', () => {
    const frozen = Object.freeze(row({ confirmed: false }));
    redeem(frozen, token(4, ISSUED - 60 * MINUTE), LATER);
    redeem(frozen, token(5), LATER);
    redeem(frozen, token(6), LATER);
    call(frozen, access(5), LATER);
    expect(frozen).toEqual(row({ confirmed: false }));
  });
});

describe('a protected call', () => {
  it('confirms its generation by the issuedAt of the refresh token it came with', () => {
    const issuedAt = ISSUED + 20 * MINUTE;
    expect(call(row({ confirmed: false }), access(5, issuedAt), issuedAt)).toEqual({
      kind: 'authenticated',
      confirmedIssuedAt: issuedAt,
    });
  });

  it('writes nothing when the generation is confirmed', () => {
    expect(call(row(), access(), LATER)).toEqual({ kind: 'authenticated' });
  });

  it('detects reuse when its refresh token was issued further away than the reuse interval, either way', () => {
    for (const side of [1, -1]) {
      expect(call(row(), access(5, ISSUED + side * REUSE_INTERVAL), LATER)).toEqual({ kind: 'authenticated' });
      expect(call(row(), access(5, ISSUED + side * (REUSE_INTERVAL + 1)), LATER)).toEqual({ kind: 'reused' });
    }
  });

  it('is accepted with an older generation until the token expires, and writes nothing', () => {
    for (const generation of [4, 1])
      for (const confirmed of [true, false])
        expect(call(row({ confirmed }), access(generation, ISSUED - DAY), LATER)).toEqual({ kind: 'authenticated' });
  });

  it('is accepted with a later generation, which the row lost in a power cut, and writes nothing', () => {
    for (const confirmed of [true, false])
      expect(call(row({ confirmed }), access(6, LATER), LATER)).toEqual({ kind: 'authenticated' });
  });
});

describe('the reuse interval', () => {
  it('covers two of the slowest honest requests plus clock skew', () => {
    expect(reuseIntervalFor(7 * DAY)).toBe((2 * 25 + 10) * 1000);
    expect(reuseIntervalFor(10 * MINUTE)).toBe(MINUTE);
  });

  it('is at most a tenth of the refresh token lifetime', () => {
    expect(reuseIntervalFor(10 * MINUTE - 10)).toBe(MINUTE - 1);
    expect(reuseIntervalFor(10_000)).toBe(1_000);
  });

  it('is taken from the policy', () => {
    const short = { ...policy, reuseIntervalMs: 1_000 };
    expect(decideRefresh(row(), token(), ISSUED + 1_000, short)).toMatchObject({ kind: 'keep' });
    expect(decideRefresh(row(), token(), ISSUED + 1_001, short)).toMatchObject({ kind: 'rotate' });
    expect(decideRefresh(row(), token(5, ISSUED + 1_001), LATER, short)).toEqual({ kind: 'reused' });
    expect(decideRefresh(row(), token(4, ISSUED - 60 * MINUTE), ISSUED + 1_001, short)).toEqual({ kind: 'reused' });
    expect(decideCall(row(), access(5, ISSUED + 1_001), LATER, short)).toEqual({ kind: 'reused' });
  });
});
