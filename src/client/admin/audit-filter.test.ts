import { describe, expect, it } from 'vitest';
import { filterFrom, isoDate, localDate, paramsFor } from './audit-filter.ts';

describe('the filter in the address', () => {
  it('survives a round trip', () => {
    const filter = {
      userId: 'u1',
      type: 'signed_in',
      from: '2030-01-31T12:00:00.000Z',
      to: '2030-02-01T00:00:00.000Z',
    } as const;
    expect(filterFrom(new URLSearchParams(paramsFor(filter)))).toEqual(filter);
  });

  it.each(['', 'person=+&type=&from=&to=', 'type=constructor&from=yesterday&to=31.1.', 'limit=5&cursor=x'])(
    'leaves out what is empty or not valid: %s',
    (query) => {
      expect(filterFrom(new URLSearchParams(query))).toEqual({});
    },
  );
});

describe('dates', () => {
  it('are entered in local time, to the minute', () => {
    const local = '2030-07-31T23:05';
    expect(localDate(isoDate(local))).toBe(local);
    expect(isoDate(local)).toBe(new Date(2030, 6, 31, 23, 5).toISOString());
  });

  it('may be missing', () => {
    expect(localDate(undefined)).toBe('');
    expect(isoDate('')).toBeUndefined();
    expect(isoDate(undefined)).toBeUndefined();
  });
});
