import { describe, expect, it } from 'vitest';
import { countdown } from './format.ts';

describe('countdown', () => {
  it.each([
    [1, '0:01'],
    [9_000, '0:09'],
    [59_001, '1:00'],
    [872_000, '14:32'],
    [3_723_000, '1:02:03'],
  ])('shows %i ms as %s', (ms, text) => {
    expect(countdown(ms)).toBe(text);
  });
});
