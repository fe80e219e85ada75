import type { Settings } from '../env.ts';

// Apart from world.ts, which loads the whole server: a test that replaces a module has to do so before.

export interface WorldDatabase extends AsyncDisposable {
  settings: Settings['database'];
}

let create = async (): Promise<WorldDatabase> => ({
  settings: { kind: 'sqlite', path: ':memory:' },
  async [Symbol.asyncDispose]() {},
});

/** Changes what `createWorldDatabase` creates, which is a SQLite database in memory at first. */
export function useDatabases(other: () => Promise<WorldDatabase>): void {
  create = other;
}

export const createWorldDatabase = (): Promise<WorldDatabase> => create();
