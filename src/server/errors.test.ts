import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { users } from './auth/store/sqlite/tables.sqlite.ts';
import { openSqlite } from './db/sqlite.ts';
import { databaseFailure } from './errors.ts';

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('databaseFailure', () => {
  it("distinguishes a feature's query on a locked database from a faulty query", () => {
    const folder = mkdtempSync(join(tmpdir(), 'latchkey-'));
    const { db, close } = openSqlite(join(folder, 'app.db'));
    const blocker = new Database(join(folder, 'app.db'));
    blocker.exec('BEGIN IMMEDIATE');
    const locked = thrownBy(() => db.delete(users).run());
    const wrong = thrownBy(() => db.run(sql`delete from nothing`));
    blocker.close();
    close();
    rmSync(folder, { recursive: true });
    expect(databaseFailure(locked)?.failure).toEqual({ code: 'overloaded', retryAfter: 1 });
    expect(wrong).toBeInstanceOf(Error);
    expect(databaseFailure(wrong)).toBeUndefined();
  });
});
