import { describe, expect, it } from 'vitest';
import { passwordMinLength } from './password-policy.ts';

/** A page that was served with these `Server-Timing` entries. */
const servedWith = (serverTiming?: { name: string; description: string }[]) => ({
  getEntriesByType: (type: string) => (type === 'navigation' ? [{ serverTiming } as never] : []),
});

describe('passwordMinLength', () => {
  it('reads the minimum that the server sends with the page', () => {
    const entries = [
      { name: 'session', description: '' },
      { name: 'password-min-length', description: '12' },
    ];
    expect(passwordMinLength(servedWith(entries))).toBe(12);
  });

  it.each(['', '0', '7', '-12', '12.5', 'twelve', 'Infinity'])(
    'falls back to the shared minimum for %j',
    (description) => {
      expect(passwordMinLength(servedWith([{ name: 'password-min-length', description }]))).toBe(8);
    },
  );

  it('falls back to the shared minimum without the entry, the header or a navigation', () => {
    expect(passwordMinLength(servedWith([{ name: 'session', description: '12' }]))).toBe(8);
    expect(passwordMinLength(servedWith(undefined))).toBe(8);
    expect(passwordMinLength({ getEntriesByType: () => [] })).toBe(8);
  });
});
