import { describe, expect, it } from 'vitest';
import { ago, day, moment } from './moment.ts';

const now = new Date('2026-11-28T12:00:00Z');
const before = (ms: number) => ago(new Date(now.getTime() - ms), now);

describe('ago', () => {
  it.each([
    [-5_000, 'just now'],
    [59_999, 'just now'],
    [60_000, '1 minute ago'],
    [3_599_999, '59 minutes ago'],
    [3_600_000, '1 hour ago'],
    [86_399_999, '23 hours ago'],
    [86_400_000, 'yesterday'],
    [30 * 86_400_000, '30 days ago'],
  ])('says of %d ms before that it was %s', (ms, words) => {
    expect(before(ms)).toBe(words);
  });
});

describe('a date in words', () => {
  it('is as exact as asked', () => {
    const date = new Date(2026, 10, 28, 9, 5);
    expect(day(date)).toBe('Nov 28, 2026');
    expect(moment(date)).toBe('November 28, 2026 at 09:05');
  });
});
