import { readdirSync, readFileSync } from 'node:fs';
import {
  generateDrizzleJson,
  generateMigration,
  generateSQLiteDrizzleJson,
  generateSQLiteMigration,
} from 'drizzle-kit/api';
import { describe, expect, it } from 'vitest';

function latestSnapshot(database: string) {
  const meta = new URL(`../../../drizzle/${database}/meta/`, import.meta.url);
  const latest = readdirSync(meta)
    .filter((name) => name.endsWith('_snapshot.json'))
    .toSorted()
    .at(-1)!;
  return JSON.parse(readFileSync(new URL(latest, meta), 'utf8'));
}

describe('the migrations', () => {
  it('include every change of the tables of SQLite', async () => {
    const tables = Object.assign({}, ...Object.values(import.meta.glob('../**/tables.sqlite.ts', { eager: true })));
    const snapshot = latestSnapshot('sqlite');
    const current = await generateSQLiteDrizzleJson(tables, snapshot.id);
    expect(await generateSQLiteMigration(snapshot, current)).toEqual([]);
  });

  it('include every change of the tables of PostgreSQL', async () => {
    const tables = Object.assign({}, ...Object.values(import.meta.glob('../**/tables.postgres.ts', { eager: true })));
    const snapshot = latestSnapshot('postgres');
    const current = generateDrizzleJson(tables, snapshot.id);
    expect(await generateMigration(snapshot, current)).toEqual([]);
  });
});
