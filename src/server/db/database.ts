import type { SqliteDatabase } from './sqlite.ts';

/**
 * The type of `services.db`, whose queries a feature writes with Drizzle. An app that runs on PostgreSQL says so here:
 * `import type { PostgresDatabase } from './postgres.ts'` and `PostgresDatabase['db']`.
 */
export type Database = SqliteDatabase['db'];
