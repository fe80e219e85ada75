import { describe, expect, it } from 'vitest';
import type { User } from '../../shared/auth.ts';
import { describeChange, type Sample } from './describe-change.ts';

const user: User = {
  id: 'u1',
  username: 'ada',
  email: 'ada@example.com',
  emailVerified: false,
  role: 'user',
  createdAt: '2026-01-01T00:00:00.000Z',
};

const signedIn = ({ generation = 3, stale = false, expiresInMs = 10_000 } = {}): Sample => ({
  at: new Date(0),
  state: { status: 'signed-in', user, session: { id: 's1', generation }, stale },
  expiresInMs,
});
const signedOut: Sample = { at: new Date(0), state: { status: 'signed-out' }, expiresInMs: undefined };

describe('describeChange', () => {
  it('reports the generation the page was opened with', () => {
    expect(describeChange(undefined, signedIn())).toBe('Page opened with generation 3.');
  });

  it('reports a rotation', () => {
    expect(describeChange(signedIn(), signedIn({ generation: 4, expiresInMs: 900_000 }))).toBe(
      'Refreshed, from generation 3 to 4.',
    );
  });

  it('reports a new token of the same generation', () => {
    expect(describeChange(signedIn(), signedIn({ expiresInMs: 900_000 }))).toBe(
      'New access token, still generation 3.',
    );
  });

  it('reports a refused token once', () => {
    const stale = signedIn({ stale: true });
    expect(describeChange(signedIn(), stale)).toBe('The access token was refused. Getting a new one…');
    expect(describeChange(stale, stale)).toBeUndefined();
  });

  it('reports nothing while time passes or when nobody is signed in', () => {
    expect(describeChange(signedIn(), signedIn({ expiresInMs: 9_000 }))).toBeUndefined();
    expect(describeChange(signedIn(), signedOut)).toBeUndefined();
  });
});
