import { describe, expect, it } from 'vitest';
import { DatabaseUnavailable, isDatabaseUnavailable } from './errors.ts';

describe('isDatabaseUnavailable', () => {
  it('finds it below the errors that wrap it', () => {
    const outage = new DatabaseUnavailable('locked');
    expect(isDatabaseUnavailable(new Error('outer', { cause: new Error('inner', { cause: outage }) }))).toBe(true);
  });

  it.each([
    ['no error', 'locked'],
    ['an error without a cause', new Error('other')],
  ])('does not find it in %s', (_what, error) => {
    expect(isDatabaseUnavailable(error)).toBe(false);
  });

  it('comes to an end where causes form a circle', () => {
    const first = new Error('first');
    first.cause = new Error('second', { cause: first });
    expect(isDatabaseUnavailable(first)).toBe(false);
  });
});
