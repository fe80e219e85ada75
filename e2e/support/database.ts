import Database from 'better-sqlite3';
import { join } from 'node:path';
import type { RunningServer } from './server.ts';

type Rows = Record<string, unknown>[];

/** @param sql with its values as `$1`, `$2`, as PostgreSQL has them */
export async function querySqlite(folder: string, sql: string, ...values: string[]): Promise<Rows> {
  const database = new Database(join(folder, 'data', 'latchkey.db'));
  try {
    const statement = database.prepare<Record<string, string>[], Record<string, unknown>>(sql);
    const named = values.length === 0 ? [] : [Object.fromEntries(values.map((value, index) => [index + 1, value]))];
    if (statement.reader) return statement.all(...named);
    statement.run(...named);
    return [];
  } finally {
    database.close();
  }
}

interface SessionRow {
  generation: number;
  end_reason: string | null;
}

export async function sessionsOf(server: Pick<RunningServer, 'query'>): Promise<SessionRow[]> {
  const rows = await server.query('select * from sessions order by created_at, id');
  return rows as unknown as SessionRow[];
}
