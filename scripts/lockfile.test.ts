import { describe, expect, it } from 'vitest';
import { faultsOf, type Lockfile } from './lockfile.ts';

const locked = { version: '1.0.0', integrity: 'sha512-x' };

/** A sound lockfile, and what is different about this one. */
const lockfile = (packages: Lockfile['packages']): Lockfile => ({
  packages: {
    '': {},
    'node_modules/@trpc/client': locked,
    'node_modules/@trpc/server': locked,
    ...packages,
  },
});

describe('faultsOf', () => {
  it('finds nothing in a sound lockfile', () => {
    expect(
      faultsOf(
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

  it('finds a platform that was forgotten', () => {
    const a = { ...locked, optionalDependencies: { 'a-linux': '1', 'a-darwin': '1' } };
    expect(faultsOf(lockfile({ 'node_modules/a': a, 'node_modules/a-linux': locked }))).toEqual([
      'node_modules/a wants a-darwin, which is not locked.',
    ]);
    // Where it lies in the folder of another package it does not count.
    expect(
      faultsOf(
        lockfile({
          'node_modules/a': a,
          'node_modules/a-linux': locked,
          'node_modules/b/node_modules/a-darwin': locked,
        }),
      ),
    ).toHaveLength(1);
  });

  it('finds the address of a registry', () => {
    const resolved = 'https://registry.example/a/-/a-1.0.0.tgz';
    expect(faultsOf(lockfile({ 'node_modules/a': { ...locked, resolved } }))).toEqual([
      `node_modules/a is bound to ${resolved}.`,
    ]);
  });

  it('finds a package without a checksum', () => {
    expect(faultsOf(lockfile({ 'node_modules/a': { version: '1.0.0' } }))).toEqual(['node_modules/a has no checksum.']);
  });

  it('finds a second copy of tRPC', () => {
    expect(faultsOf(lockfile({ 'node_modules/a/node_modules/@trpc/client': locked }))).toEqual([
      '@trpc/client is to be there once, not 2 times.',
    ]);
  });
});
