import { inject } from 'vitest';
import { createDatabase, type TestDatabase } from './postgres.ts';

/** Creates a PostgreSQL database with tables and no rows. Use with `await using`. */
export const testDatabase = (): Promise<TestDatabase> =>
  createDatabase(inject('postgresUrl'), inject('postgresTemplate'));
