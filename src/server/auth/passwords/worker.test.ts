import { compare } from 'bcryptjs';
import { beforeEach, expect, test, vi } from 'vitest';
import run, { decoy } from './worker.ts';

vi.mock('bcryptjs', async (original) => ({
  ...(await original<object>()),
  compare: vi.fn<typeof compare>(async (password) => password === 'right'),
}));

/** What bcrypt does, in rounds. */
const work = () => vi.mocked(compare).mock.calls.reduce((sum, [, hash]) => sum + 2 ** Number(hash.slice(4, 6)), 0);
beforeEach(() => void vi.mocked(compare).mockClear());

test.each([4, 10, 11, 12])(
  'a wrong password costs the same against a hash of cost %i as against none',
  async (cost) => {
    expect(await run({ kind: 'compare', digest: 'wrong', hash: decoy(cost), cost: 12 })).toBe(false);
    expect(work()).toBe(2 ** 12);
  },
);

test('a right one costs what its hash does: who knows it may know that', async () => {
  expect(await run({ kind: 'compare', digest: 'right', hash: decoy(10), cost: 12 })).toBe(true);
  expect(work()).toBe(2 ** 10);
});
