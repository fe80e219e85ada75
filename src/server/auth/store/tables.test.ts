import { getTableName, is } from 'drizzle-orm';
import { getTableConfig as postgresConfig, PgDialect, PgTable } from 'drizzle-orm/pg-core';
import { getTableConfig as sqliteConfig, SQLiteSyncDialect, SQLiteTable } from 'drizzle-orm/sqlite-core';
import { describe, expect, it } from 'vitest';

/** The tables of the kernel and of every feature. */
const tablesIn = (modules: Record<string, Record<string, unknown>>) => Object.values(modules).flatMap(Object.values);
const sqliteTables = tablesIn(import.meta.glob('../../**/tables.sqlite.ts', { eager: true })).filter((value) =>
  is(value, SQLiteTable),
);
const postgresTables = tablesIn(import.meta.glob('../../**/tables.postgres.ts', { eager: true })).filter((value) =>
  is(value, PgTable),
);

interface Config {
  columns: {
    name: string;
    dataType: string;
    notNull: boolean;
    primary: boolean;
    default: unknown;
    enumValues?: unknown;
  }[];
  indexes: { config: { name?: string | undefined; unique: boolean; columns: unknown[] } }[];
  foreignKeys: {
    onDelete: unknown;
    reference(): { columns: { name: string }[]; foreignTable: never; foreignColumns: { name: string }[] };
  }[];
}

const byName = <Item extends { name: unknown }>(items: Item[]) =>
  items.toSorted((a, b) => String(a.name).localeCompare(String(b.name)));

/** What both databases must agree on; a number may be stored in different ways. */
function shape(table: Parameters<typeof getTableName>[0], config: Config, describeColumn: (column: unknown) => string) {
  return {
    name: getTableName(table),
    columns: byName(
      config.columns.map(({ name, dataType, notNull, primary, default: initial, enumValues }) => ({
        name,
        // The one type of our own is text with a collation.
        dataType: dataType === 'custom' ? 'string' : dataType,
        notNull,
        primary,
        initial,
        enumValues,
      })),
    ),
    indexes: byName(
      config.indexes.map(({ config: { name, unique, columns } }) => ({
        name,
        unique,
        columns: columns.map(describeColumn),
      })),
    ),
    foreignKeys: config.foreignKeys.map((key) => {
      const { columns, foreignTable, foreignColumns } = key.reference();
      const names = (list: { name: string }[]) => list.map(({ name }) => name);
      return {
        from: names(columns),
        table: getTableName(foreignTable),
        to: names(foreignColumns),
        onDelete: key.onDelete ?? 'no action',
      };
    }),
  };
}

const sqliteDialect = new SQLiteSyncDialect();
const postgresDialect = new PgDialect();

const columnName = (column: unknown, toSql: (expression: never) => string) =>
  (column as { name?: string }).name ?? toSql(column as never);

describe('the tables of both databases', () => {
  const sqlite = byName(
    sqliteTables.map((table) =>
      shape(table, sqliteConfig(table) as unknown as Config, (column) =>
        columnName(column, (expression) => sqliteDialect.sqlToQuery(expression).sql.replaceAll(/"\w+"\./g, '')),
      ),
    ),
  );
  const postgres = byName(
    postgresTables.map((table) =>
      shape(table, postgresConfig(table) as unknown as Config, (column) =>
        columnName(column, (expression) =>
          postgresDialect
            .sqlToQuery(expression)
            .sql.replaceAll(/"\w+"\./g, '')
            .replaceAll(' collate "C"', ''),
        ),
      ),
    ),
  );

  it('have the same columns, nullability, defaults, keys and indexes', () => {
    expect(sqlite.map(({ name }) => name)).toContain('sessions');
    expect(postgres).toEqual(sqlite);
  });
});
