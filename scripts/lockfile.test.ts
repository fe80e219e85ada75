import { describe, expect, it } from 'vitest';
import { findProblems, type Lockfile } from './lockfile.ts';

const locked = { version: '1.0.0', integrity: 'sha512-x' };

/** A valid lockfile, with these packages added or replaced. */
const lockfile = (packages: Lockfile['packages']): Lockfile => ({
  packages: {
    '': {},
    'node_modules/@trpc/client': locked,
    'node_modules/@trpc/server': locked,
    ...packages,
  },
});

describe('findProblems', () => {
  it('accepts a valid lockfile', () => {
    expect(
      findProblems(
        lockfile({
          'node_modules/a': { ...locked, optionalDependencies: { 'a-linux': '1', 'a-darwin': '1' } },
          'node_modules/a-linux': locked,
          'node_modules/a/node_modules/a-darwin': locked,
          'node_modules/a/node_modules/b': { ...locked, optionalDependencies: { 'a-linux': '1' } },
          'node_modules/c/node_modules/d': { version: '1.0.0', inBundle: true },
        }),
      ),
    ).toEqual([]);
  });

  it('reports a missing platform package', () => {
    const a = { ...locked, optionalDependencies: { 'a-linux': '1', 'a-darwin': '1' } };
    expect(findProblems(lockfile({ 'node_modules/a': a, 'node_modules/a-linux': locked }))).toEqual([
      'node_modules/a needs a-darwin, which is not locked.',
    ]);
    // A copy in the folder of an unrelated package does not count.
    expect(
      findProblems(
        lockfile({
          'node_modules/a': a,
          'node_modules/a-linux': locked,
          'node_modules/b/node_modules/a-darwin': locked,
        }),
      ),
    ).toHaveLength(1);
  });

  it('reports a registry URL', () => {
    const resolved = 'https://registry.example/a/-/a-1.0.0.tgz';
    expect(findProblems(lockfile({ 'node_modules/a': { ...locked, resolved } }))).toEqual([
      `node_modules/a is pinned to ${resolved}.`,
    ]);
  });

  it('reports a package without a checksum', () => {
    expect(findProblems(lockfile({ 'node_modules/a': { version: '1.0.0' } }))).toEqual([
      'node_modules/a has no checksum.',
    ]);
  });

  it('reports a second copy of tRPC', () => {
    expect(findProblems(lockfile({ 'node_modules/a/node_modules/@trpc/client': locked }))).toEqual([
      '@trpc/client must be installed once, not 2 times.',
    ]);
  });
});
