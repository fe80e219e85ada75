import { expect, test } from 'vitest';
import { fuzz } from './testing/fuzz.ts';
import { testWorld } from './testing/world.ts';

// `npm run bench` does the same with a hundred thousand.
test('thousands of inputs find no 500, no hang, no crash and no write', { timeout: 300_000 }, async () => {
  await using world = await testWorld({ trustProxy: 1, logLevel: 'error' });
  await fuzz(world, 3_000);
  expect(world.log).toEqual([]);
});
