import { describe, expect, it } from 'vitest';
import { fuzz } from './testing/fuzz.ts';
import { testWorld } from './testing/world.ts';

describe('the server', () => {
  // `npm run bench:fuzz` does the same with a hundred thousand.
  it('handles thousands of malformed inputs without a 500, hang, crash or write', { timeout: 300_000 }, async () => {
    await using world = await testWorld({ trustProxy: 1, logLevel: 'error' });
    await fuzz(world, 3_000);
    expect(world.log).toEqual([]);
  });
});
