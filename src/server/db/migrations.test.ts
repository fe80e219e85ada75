import { readdirSync, readFileSync } from 'node:fs';
import { generateSQLiteDrizzleJson, generateSQLiteMigration } from 'drizzle-kit/api';
import { expect, it } from 'vitest';

it('has a migration for every change of the tables', async () => {
  const meta = new URL('../../../drizzle/sqlite/meta/', import.meta.url);
  const latest = readdirSync(meta)
    .filter((name) => name.endsWith('_snapshot.json'))
    .toSorted()
    .at(-1)!;
  const snapshot = JSON.parse(readFileSync(new URL(latest, meta), 'utf8'));
  const tables = Object.assign({}, ...Object.values(import.meta.glob('../**/tables.sqlite.ts', { eager: true })));
  const current = await generateSQLiteDrizzleJson(tables, snapshot.id);
  expect(await generateSQLiteMigration(snapshot, current)).toEqual([]);
});
