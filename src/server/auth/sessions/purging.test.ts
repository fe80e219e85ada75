import { describe, expect, it } from 'vitest';
import type { AuthStore } from '../store/auth-store.ts';
import { createSessions } from './sessions.ts';
import type { Tokens } from './tokens.ts';

describe('purging sessions', () => {
  it('spares those whose access token may still be in use', async () => {
    let before = Number.NaN;
    const store: Pick<AuthStore, 'purgeSessions'> = {
      async purgeSessions(value) {
        before = value;
        return { examined: 0, deleted: 0 };
      },
    };
    const sessions = createSessions({
      store: store as AuthStore,
      tokens: {} as Tokens,
      policy: { refreshTokenLifetimeMs: 1_000, sessionMaxAgeMs: 10_000, reuseIntervalMs: 100 },
      accessTokenLifetimeMs: 4_000,
      clock: () => 10_000,
    });
    await sessions.purge();
    expect(before).toBe(5_000);
  });

  it('goes on for as long as batches are full, even if nothing in them was deleted', async () => {
    const befores = new Set<number>();
    const deletions = [0, 3, 0, 1];
    const store: Pick<AuthStore, 'purgeSessions'> = {
      async purgeSessions(before, limit) {
        befores.add(before);
        const deleted = deletions.shift() ?? 0;
        return { examined: deletions.length > 0 ? limit : limit - 1, deleted };
      },
    };
    const sessions = createSessions({
      store: store as AuthStore,
      tokens: {} as Tokens,
      policy: { refreshTokenLifetimeMs: 1_000, sessionMaxAgeMs: 10_000, reuseIntervalMs: 100 },
      accessTokenLifetimeMs: 500,
      clock: () => 10_000,
    });
    expect(await sessions.purge()).toBe(4);
    expect(deletions).toEqual([]);
    expect(befores).toEqual(new Set([8_000]));
  });
});
