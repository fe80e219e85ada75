import { describe, expect, it } from 'vitest';
import { errorMessage } from './error-message.ts';

const answered = { data: { code: 'INTERNAL_SERVER_ERROR' } };
const busy = { data: { code: 'SERVICE_UNAVAILABLE', failure: { code: 'overloaded', retryAfter: 5 } } };
const notRefreshed = (cause?: unknown) => ({ meta: { refresh: 'unavailable', retryAfterMs: 1000 }, cause });

describe('errorMessage', () => {
  it('explains an expected failure', () => {
    expect(errorMessage(busy)).toBe('We are very busy right now. Please try again in 5 seconds.');
  });

  it('takes the blame for an unexpected server error', () => {
    expect(errorMessage(answered)).toBe('Something went wrong on our side. Please try again.');
  });

  it.each([new TypeError('fetch failed'), undefined, null])('reports the server as unreachable for %s', (error) => {
    expect(errorMessage(error)).toBe('We cannot reach the server. Check your connection and try again.');
  });

  it('reports the server as unreachable if the refresh before a call could not reach it', () => {
    expect(errorMessage(notRefreshed(new TypeError('fetch failed')))).toMatch(/^We cannot reach the server/);
  });

  it.each([
    ['was busy', busy, /^We are very busy/],
    ['answered with something unexpected', answered, /^Something went wrong/],
    ['refused a fresh token', undefined, /^Your session could not be renewed/],
  ])('does not do so if the server %s', (_what, cause, message) => {
    expect(errorMessage(notRefreshed(cause))).toMatch(message);
  });
});
