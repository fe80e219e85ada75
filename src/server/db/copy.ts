import { createHash } from 'node:crypto';
import { existsSync, globSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { getTableColumns, getTableName, is, sql, type Table } from 'drizzle-orm';
import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core';
import { SQLiteTable } from 'drizzle-orm/sqlite-core';
import { StartupError } from '../startup-error.ts';
import { openPostgres } from './postgres.ts';
import { openSqlite, type SqliteDatabase } from './sqlite.ts';

/** PostgreSQL takes 65,535 parameters in a statement: enough for tables of up to 131 columns. */
const ROWS_PER_STATEMENT = 500;

const SERVER = new URL('../', import.meta.url);

/** A table as both schemas know it. */
export interface TablePair {
  sqlite: SQLiteTable;
  postgres: PgTable;
}

type Row = Record<string, unknown>;
type Transaction = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];

export interface CopiedTable {
  name: string;
  rows: number;
}

/**
 * Copies everything of a SQLite database into an empty PostgreSQL one: what was committed when it began, or, where anything
 * fails or differs afterwards, nothing.
 * @param path of the SQLite database
 * @param url of the PostgreSQL database; its tables are created where it has none
 * @param tables in an order in which no row refers to one that comes later
 * @returns the tables and their number of rows
 * @throws StartupError where either database is missing or the target is not empty
 */
export async function copyToPostgres(path: string, url: string, tables: TablePair[]): Promise<CopiedTable[]> {
  // Opening would create one.
  if (!existsSync(path)) throw new StartupError(`There is no database at ${path}.`);
  const source = openSqlite(path);
  await using opened = new AsyncDisposableStack();
  opened.defer(() => source.close());
  const target = await openPostgres(url);
  opened.defer(() => target.close());
  refuseUnknownTables(source, tables);
  // The first read of it takes the snapshot.
  source.db.$client.exec('begin');
  return await target.db.transaction(
    async (tx) => {
      for (const { postgres } of tables) await refuseRows(tx, postgres);
      const copied: CopiedTable[] = [];
      for (const pair of tables) copied.push(await copyTable(source, tx, pair));
      return copied;
    },
    { isolationLevel: 'repeatable read' },
  );
}

/** @throws StartupError for a table that no schema describes, and that would be left behind */
function refuseUnknownTables({ db }: SqliteDatabase, tables: TablePair[]): void {
  const known = new Set(tables.map(({ sqlite }) => getTableName(sqlite)));
  const names = db.$client
    .prepare<[], string>(
      `select name from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\' and name <> '__drizzle_migrations'`,
    )
    .pluck()
    .all();
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length > 0)
    throw new StartupError(`No tables.sqlite.ts describes ${unknown.join(', ')}, so nothing was copied.`);
}

async function refuseRows(tx: Transaction, table: PgTable): Promise<void> {
  const [row] = await tx
    .select({ one: sql`1` })
    .from(table)
    .limit(1);
  if (row !== undefined)
    throw new StartupError(`The target is not empty: ${getTableName(table)} has rows. Nothing was copied.`);
}

async function copyTable(
  source: SqliteDatabase,
  tx: Transaction,
  { sqlite, postgres }: TablePair,
): Promise<CopiedTable> {
  const name = getTableName(sqlite);
  const written = createDigest();
  for (const rows of batches(source, sqlite)) {
    written.add(rows);
    await tx.insert(postgres).values(rows);
  }
  const read = createDigest();
  for await (const rows of storedRows(tx, postgres)) read.add(rows);
  if (!isDeepStrictEqual(read.result(), written.result()))
    throw new Error(`${name} differs after copying, so nothing was copied.`);
  await continueIds(source, tx, postgres);
  return { name, rows: written.result().rows };
}

function* batches({ db }: SqliteDatabase, table: SQLiteTable): Generator<Row[]> {
  let batch: Row[] = [];
  for (const row of db.$client.prepare<[], Row>(`select * from "${getTableName(table)}"`).iterate()) {
    batch.push(fromDriver(table, row));
    if (batch.length < ROWS_PER_STATEMENT) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Through a cursor: the whole of a large table would take longer than a statement may. */
async function* storedRows(tx: Transaction, table: PgTable): AsyncGenerator<Row[]> {
  await tx.execute(sql`declare copied cursor for select * from ${table}`);
  while (true) {
    const { rows } = await tx.execute(sql.raw(`fetch ${ROWS_PER_STATEMENT} from copied`));
    if (rows.length === 0) break;
    yield rows.map((row) => fromDriver(table, row));
  }
  await tx.execute(sql`close copied`);
}

/** As Drizzle does for its own queries, so that a row is the same whichever database it comes from. */
function fromDriver(table: Table, row: Row): Row {
  return Object.fromEntries(
    Object.entries(getTableColumns(table)).map(([key, column]) => {
      const value = row[column.name];
      return [key, value === null ? null : column.mapFromDriverValue(value)];
    }),
  );
}

/** Of a set of rows: the two databases need not return them in the same order. */
function createDigest() {
  let rows = 0;
  let sum = 0n;
  return {
    add(batch: Row[]): void {
      rows += batch.length;
      for (const row of batch)
        sum += BigInt(`0x${createHash('sha256').update(JSON.stringify(row, canonical)).digest('hex')}`);
    },
    result: () => ({ rows, sum }),
  };
}

/** Sorts keys, because the schemas may list columns, and `jsonb` stores keys, in another order. */
function canonical(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Has the database number new rows from where SQLite was, so that no id is given twice, even one whose row is gone. */
async function continueIds({ db }: SqliteDatabase, tx: Transaction, table: PgTable): Promise<void> {
  const name = getTableName(table);
  for (const column of Object.values(getTableColumns(table))) {
    const { rows } = await tx.execute<{ sequence: string | null }>(
      sql`select pg_get_serial_sequence(quote_ident(${name}), ${column.name}) as sequence`,
    );
    const sequence = rows[0]?.sequence ?? null;
    if (sequence === null) continue;
    const last = db.$client
      .prepare<[string], number | null>(
        `select max(id) from (select seq as id from sqlite_sequence where name = ? union all select max("${column.name}") from "${name}")`,
      )
      .pluck()
      .get(name);
    if (typeof last === 'number') await tx.execute(sql`select setval(${sequence}::regclass, ${last})`);
  }
}

/**
 * Finds every table of the kernel and the features by the names of their files.
 * @returns them in an order in which no row refers to one that comes later
 * @throws StartupError for a table that only one of the databases has, or that has other columns in the other
 */
export async function findTables(): Promise<TablePair[]> {
  const sqlite = await tablesOf('sqlite', SQLiteTable);
  const postgres = await tablesOf('postgres', PgTable);
  for (const name of new Set([...sqlite.keys(), ...postgres.keys()])) {
    const [inSqlite, inPostgres] = [sqlite.get(name), postgres.get(name)];
    const columns = (table: Table) => Object.keys(getTableColumns(table)).toSorted();
    if (inSqlite === undefined) throw new StartupError(`No tables.sqlite.ts has the table ${name}.`);
    if (inPostgres === undefined) throw new StartupError(`No tables.postgres.ts has the table ${name}.`);
    if (!isDeepStrictEqual(columns(inSqlite), columns(inPostgres)))
      throw new StartupError(`The columns of ${name} differ between tables.sqlite.ts and tables.postgres.ts.`);
  }
  const sorted = [...postgres.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, table]) => table);
  return parentsFirst(sorted).map((table) => ({ postgres: table, sqlite: sqlite.get(getTableName(table))! }));
}

async function tablesOf<Class extends typeof PgTable | typeof SQLiteTable>(
  engine: 'sqlite' | 'postgres',
  kind: Class,
): Promise<Map<string, InstanceType<Class>>> {
  const tables = new Map<string, InstanceType<Class>>();
  for (const file of globSync(`**/tables.${engine}.ts`, { cwd: SERVER })) {
    const exported = (await import(new URL(file, SERVER).href)) as Record<string, unknown>;
    for (const value of Object.values(exported)) if (is(value, kind)) tables.set(getTableName(value as Table), value);
  }
  return tables;
}

/** @throws Error where tables refer to each other in a circle */
function parentsFirst(tables: PgTable[]): PgTable[] {
  const ordered: PgTable[] = [];
  const parents = new Map(
    tables.map((table) => [
      table,
      getTableConfig(table)
        .foreignKeys.map((key) => key.reference().foreignTable)
        .filter((parent) => parent !== table),
    ]),
  );
  while (ordered.length < tables.length) {
    const next = tables.filter(
      (table) => !ordered.includes(table) && parents.get(table)!.every((parent) => ordered.includes(parent)),
    );
    if (next.length === 0) throw new Error('Tables refer to each other in a circle.');
    ordered.push(...next);
  }
  return ordered;
}
