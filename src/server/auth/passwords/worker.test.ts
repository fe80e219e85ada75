import { compare } from 'bcryptjs';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import run, { decoy } from './worker.ts';

vi.mock('bcryptjs', async (original) => ({
  ...(await original<object>()),
  compare: vi.fn<typeof compare>(async (password) => password === 'right'),
}));

/** The work that bcrypt has done, in rounds. */
const work = () => vi.mocked(compare).mock.calls.reduce((sum, [, hash]) => sum + 2 ** Number(hash.slice(4, 6)), 0);
beforeEach(() => void vi.mocked(compare).mockClear());

describe('comparing a password', () => {
  it.each([4, 10, 11, 12])(
    'does the same work for a wrong password and a hash of cost %i as for no hash',
    async (cost) => {
      expect(await run({ kind: 'compare', digest: 'wrong', hash: decoy(cost), cost: 12 })).toBe(false);
      expect(work()).toBe(2 ** 12);
    },
  );

  it('does only the work of the hash for the right password, which reveals nothing to its owner', async () => {
    expect(await run({ kind: 'compare', digest: 'right', hash: decoy(10), cost: 12 })).toBe(true);
    expect(work()).toBe(2 ** 10);
  });
});
