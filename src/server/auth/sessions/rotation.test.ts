import { describe, expect, test } from 'vitest';
import { judgeCall, judgeRedemption, windowFor, type Copy, type Policy, type SessionRow } from './rotation.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const WINDOW = MINUTE;
/** When the row's generation was issued. The cases place everything else relative to it. */
const ISSUED = Date.UTC(2030, 0, 10);
const policy: Policy = { refreshTokenLifetime: 7 * DAY, sessionMaxAge: 30 * DAY, window: WINDOW };

/** In the middle of its life: generation 5 has been used, and was got an hour after generation 4. */
function row(changes: Partial<SessionRow> = {}): SessionRow {
  return {
    id: 'session',
    userId: 'anna',
    generation: 5,
    issuedAt: ISSUED,
    proved: true,
    previousIssuedAt: ISSUED - 60 * MINUTE,
    createdAt: ISSUED - DAY,
    lastSeenAt: ISSUED,
    expiresAt: ISSUED + 29 * DAY,
    endedAt: null,
    endReason: null,
    userAgent: null,
    ip: null,
    ...changes,
  };
}

function copy(generation = 5, date = ISSUED, userId = 'anna'): Copy {
  return { sessionId: 'session', userId, generation, date };
}

const redeem = (of: SessionRow, by: Copy, now: number) => judgeRedemption(of, by, now, policy);
const call = (of: SessionRow, by: Copy, now: number) => judgeCall(of, by, now, policy);

const LATER = ISSUED + 15 * MINUTE;

describe('a session that is over', () => {
  test.each(['revoked', 'reused'] as const)('says that it was %s, whatever the copy', (endReason) => {
    const ended = row({ endedAt: ISSUED, endReason });
    const answer = { kind: 'ended', reason: endReason };
    for (const generation of [1, 4, 5, 6, 99]) expect(redeem(ended, copy(generation), LATER)).toEqual(answer);
    expect(redeem(ended, copy(5, ISSUED - DAY), LATER)).toEqual(answer);
    expect(call(ended, copy(), LATER)).toEqual(answer);
    expect(call(ended, copy(5, ISSUED - DAY), LATER)).toEqual(answer);
  });

  test('is over even where the reason was not written', () => {
    expect(redeem(row({ endedAt: 0, endReason: null }), copy(), LATER)).toEqual({ kind: 'ended', reason: 'revoked' });
  });

  test('expires at expiresAt exactly, and not a millisecond before', () => {
    const { expiresAt } = row();
    const last = copy(5, ISSUED);
    expect(redeem(row(), last, expiresAt - 1)).toMatchObject({ kind: 'rotate' });
    expect(redeem(row(), last, expiresAt)).toEqual({ kind: 'ended', reason: 'expired' });
    expect(call(row(), last, expiresAt - 1)).toEqual({ kind: 'good' });
    expect(call(row(), last, expiresAt)).toEqual({ kind: 'ended', reason: 'expired' });
  });

  test('that was ended before it expired keeps its reason', () => {
    const both = row({ endedAt: ISSUED, endReason: 'revoked' });
    expect(redeem(both, copy(), both.expiresAt + DAY)).toEqual({ kind: 'ended', reason: 'revoked' });
  });

  test('is not judged by how long ago its generation was issued', () => {
    expect(redeem(row(), copy(), ISSUED + 28 * DAY)).toMatchObject({ kind: 'rotate' });
  });

  test('of somebody else is an invalid token, and not even its end is told', () => {
    const foreign = copy(5, ISSUED, 'bert');
    const invalid = { kind: 'ended', reason: 'invalid' };
    expect(redeem(row(), foreign, LATER)).toEqual(invalid);
    expect(call(row(), foreign, LATER)).toEqual(invalid);
    expect(redeem(row({ endedAt: 1, endReason: 'reused' }), foreign, LATER)).toEqual(invalid);
    expect(redeem(row({ expiresAt: 1 }), foreign, LATER)).toEqual(invalid);
    expect(redeem(row(), { ...foreign, generation: 1 }, LATER)).toEqual(invalid);
  });
});

describe('redeeming a copy of the current generation', () => {
  test('rotates it: the date is kept for its latecomers, the next one is not proved', () => {
    expect(redeem(row(), copy(), LATER)).toEqual({
      kind: 'rotate',
      generation: 6,
      progress: { generation: 6, issuedAt: LATER, proved: false, previousIssuedAt: ISSUED },
    });
  });

  test('rests until WINDOW has passed since it was issued, and writes nothing', () => {
    const rest = { kind: 'rest', generation: 5 };
    expect(redeem(row(), copy(), ISSUED)).toEqual(rest);
    expect(redeem(row(), copy(), ISSUED + WINDOW)).toEqual(rest);
    expect(redeem(row(), copy(), ISSUED + WINDOW + 1)).toMatchObject({ kind: 'rotate', generation: 6 });
  });

  test('rests where the other server, whose clock is ahead, has issued it', () => {
    expect(redeem(row(), copy(), ISSUED - 10_000)).toEqual({ kind: 'rest', generation: 5 });
  });

  test('never rests in generation 1: no answer before it can still be under way', () => {
    const first = row({ generation: 1, previousIssuedAt: null });
    expect(redeem(first, copy(1), ISSUED)).toMatchObject({ kind: 'rotate', generation: 2 });
    expect(redeem(row({ generation: 2 }), copy(2), ISSUED)).toEqual({ kind: 'rest', generation: 2 });
  });

  test('proves it with the date of the copy, and rests where that is recent', () => {
    const date = ISSUED + 20 * MINUTE;
    expect(redeem(row({ proved: false }), copy(5, date), date + WINDOW)).toEqual({
      kind: 'rest',
      generation: 5,
      progress: { generation: 5, issuedAt: date, proved: true, previousIssuedAt: ISSUED - 60 * MINUTE },
    });
  });

  test('proves and rotates it in one step where the copy is older', () => {
    const date = ISSUED + 20 * MINUTE;
    const now = date + WINDOW + 1;
    expect(redeem(row({ proved: false }), copy(5, date), now)).toEqual({
      kind: 'rotate',
      generation: 6,
      progress: { generation: 6, issuedAt: now, proved: false, previousIssuedAt: date },
    });
  });

  test('before it is proved takes any date: nobody has yet shown one', () => {
    for (const date of [ISSUED - DAY, ISSUED + DAY])
      expect(redeem(row({ proved: false }), copy(5, date), ISSUED + 2 * DAY)).toMatchObject({ kind: 'rotate' });
  });

  test('once it is proved, a copy dated more than WINDOW away, to either side, is in other hands', () => {
    for (const side of [1, -1]) {
      expect(redeem(row(), copy(5, ISSUED + side * WINDOW), LATER)).toMatchObject({ kind: 'rotate' });
      expect(redeem(row(), copy(5, ISSUED + side * (WINDOW + 1)), LATER)).toEqual({ kind: 'reused' });
    }
  });

  test('in other hands it ends the session even while the row rests', () => {
    expect(redeem(row(), copy(5, ISSUED - WINDOW - 1), ISSUED)).toEqual({ kind: 'reused' });
  });
});

describe('redeeming a copy of a later generation, which the row forgot in a power cut', () => {
  test('adopts it, proved and dated by the copy, and rotates from there', () => {
    expect(redeem(row(), copy(9, ISSUED + MINUTE), LATER)).toEqual({
      kind: 'rotate',
      generation: 10,
      progress: { generation: 10, issuedAt: LATER, proved: false, previousIssuedAt: ISSUED + MINUTE },
    });
  });

  test('adopts it and rests where it is recent; what is adopted is written', () => {
    for (const proved of [true, false])
      expect(redeem(row({ proved }), copy(6, LATER), LATER + WINDOW)).toEqual({
        kind: 'rest',
        generation: 6,
        progress: { generation: 6, issuedAt: LATER, proved: true, previousIssuedAt: null },
      });
  });

  test('does not adopt what an ended session issued', () => {
    const ended = row({ endedAt: ISSUED, endReason: 'revoked' });
    expect(redeem(ended, copy(9), LATER)).toEqual({ kind: 'ended', reason: 'revoked' });
  });
});

describe('redeeming a copy of the generation before', () => {
  const before = ISSUED - 60 * MINUTE;

  test('repeats the answer for as long as the current generation is not proved, an hour later too', () => {
    const unproved = row({ proved: false });
    for (const now of [ISSUED, ISSUED + WINDOW + 1, ISSUED + 6 * DAY])
      expect(redeem(unproved, copy(4, before), now)).toEqual({ kind: 'repeat', generation: 5 });
  });

  test('repeats it for WINDOW once it is proved: another tab was faster', () => {
    expect(redeem(row(), copy(4, before), ISSUED + WINDOW)).toEqual({ kind: 'repeat', generation: 5 });
    expect(redeem(row(), copy(4, before), ISSUED + WINDOW + 1)).toEqual({ kind: 'reused' });
  });

  test('takes a clock that is behind for no time passed', () => {
    expect(redeem(row(), copy(4, before), ISSUED - 10_000)).toEqual({ kind: 'repeat', generation: 5 });
  });

  test('holds its copies to one date, to either side, proved or not', () => {
    for (const proved of [true, false])
      for (const side of [1, -1]) {
        expect(redeem(row({ proved }), copy(4, before + side * WINDOW), ISSUED)).toMatchObject({ kind: 'repeat' });
        expect(redeem(row({ proved }), copy(4, before + side * (WINDOW + 1)), ISSUED)).toEqual({ kind: 'reused' });
      }
  });

  test('knows no date to hold them to after a power cut', () => {
    const caughtUp = row({ previousIssuedAt: null });
    expect(redeem(caughtUp, copy(4, before - DAY), ISSUED)).toEqual({ kind: 'repeat', generation: 5 });
    expect(redeem(caughtUp, copy(4, before), ISSUED + WINDOW + 1)).toEqual({ kind: 'reused' });
  });

  test('takes the date 0 for a date', () => {
    expect(redeem(row({ previousIssuedAt: 0 }), copy(4, before), ISSUED)).toEqual({ kind: 'reused' });
  });
});

test.each([3, 2, 1])(
  'redeeming generation %i of 5 ends the session, be the row proved, recent, or not',
  (generation) => {
    for (const proved of [true, false])
      for (const previousIssuedAt of [null, ISSUED])
        for (const now of [ISSUED, LATER])
          expect(redeem(row({ proved, previousIssuedAt }), copy(generation), now)).toEqual({ kind: 'reused' });
  },
);

test('judging never changes the row that it was given', () => {
  const frozen = Object.freeze(row({ proved: false }));
  redeem(frozen, copy(4, ISSUED - 60 * MINUTE), LATER);
  redeem(frozen, copy(5), LATER);
  redeem(frozen, copy(6), LATER);
  call(frozen, copy(5), LATER);
  expect(frozen).toEqual(row({ proved: false }));
});

describe('a protected call', () => {
  test('proves its generation with the date of the copy that its token came with', () => {
    const date = ISSUED + 20 * MINUTE;
    expect(call(row({ proved: false }), copy(5, date), date)).toEqual({ kind: 'good', provedBy: date });
  });

  test('writes nothing where the generation is proved', () => {
    expect(call(row(), copy(), LATER)).toEqual({ kind: 'good' });
  });

  test('with a token that came with a copy dated more than WINDOW away, to either side, is in other hands', () => {
    for (const side of [1, -1]) {
      expect(call(row(), copy(5, ISSUED + side * WINDOW), LATER)).toEqual({ kind: 'good' });
      expect(call(row(), copy(5, ISSUED + side * (WINDOW + 1)), LATER)).toEqual({ kind: 'reused' });
    }
  });

  test('of an older generation is good until its token expires, and writes nothing', () => {
    for (const generation of [4, 1])
      for (const proved of [true, false])
        expect(call(row({ proved }), copy(generation, ISSUED - DAY), LATER)).toEqual({ kind: 'good' });
  });

  test('of a later generation, which the row forgot in a power cut, is good and writes nothing', () => {
    for (const proved of [true, false]) expect(call(row({ proved }), copy(6, LATER), LATER)).toEqual({ kind: 'good' });
  });
});

describe('WINDOW', () => {
  test('covers twice the longest that an honest request takes, and clocks that differ', () => {
    expect(windowFor(7 * DAY)).toBe((2 * 25 + 10) * 1000);
    expect(windowFor(10 * MINUTE)).toBe(MINUTE);
  });

  test('is at most a tenth of a short lifetime', () => {
    expect(windowFor(10 * MINUTE - 10)).toBe(MINUTE - 1);
    expect(windowFor(10_000)).toBe(1_000);
  });

  test('is taken from the policy, so that short settings are honoured', () => {
    const short = { ...policy, window: 1_000 };
    expect(judgeRedemption(row(), copy(), ISSUED + 1_000, short)).toMatchObject({ kind: 'rest' });
    expect(judgeRedemption(row(), copy(), ISSUED + 1_001, short)).toMatchObject({ kind: 'rotate' });
    expect(judgeRedemption(row(), copy(5, ISSUED + 1_001), LATER, short)).toEqual({ kind: 'reused' });
    expect(judgeRedemption(row(), copy(4, ISSUED - 60 * MINUTE), ISSUED + 1_001, short)).toEqual({ kind: 'reused' });
    expect(judgeCall(row(), copy(5, ISSUED + 1_001), LATER, short)).toEqual({ kind: 'reused' });
  });
});
