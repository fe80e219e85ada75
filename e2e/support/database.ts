import Database from 'better-sqlite3';
import { join } from 'node:path';
import type { ServerProcess } from './server.ts';

function open({ folder }: Pick<ServerProcess, 'folder'>) {
  return new Database(join(folder, 'data', 'latchkey.db'));
}

export function change(server: Pick<ServerProcess, 'folder'>, sql: string, ...values: string[]): void {
  const database = open(server);
  database.prepare(sql).run(values);
  database.close();
}

interface SessionRow {
  generation: number;
  end_reason: string | null;
}

export function sessionsOf(server: Pick<ServerProcess, 'folder'>): SessionRow[] {
  const database = open(server);
  const rows = database.prepare<[], SessionRow>('select * from sessions order by created_at, id').all();
  database.close();
  return rows;
}
