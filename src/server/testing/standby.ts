import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { embeddedPostgres, execute, freePort, type PostgresServer } from './postgres.ts';

export interface Standby extends AsyncDisposable {
  port: number;
  /** Makes it a primary. */
  promote(): Promise<void>;
}

/** Starts a standby, to which the primary replicates before it confirms a commit. Restarts the primary for that. */
export async function startStandby(primary: PostgresServer): Promise<Standby> {
  const [settings] = await execute(
    primary.url,
    `select current_setting('data_directory') as folder, current_setting('max_connections') as connections`,
  );
  const folder = `${String(settings?.folder)}-standby`;
  await primary.stop();
  // With the owner and the mode, on which PostgreSQL insists.
  await promisify(execFile)('cp', ['-a', String(settings?.folder), folder]);
  await primary.start();
  await writeFile(join(folder, 'standby.signal'), '');
  const url = new URL(primary.url);
  const upstream = `host=${url.hostname} port=${url.port} user=${url.username} password=${url.password}`;
  const port = await freePort();
  url.port = String(port);
  const Embedded = await embeddedPostgres();
  const server = new Embedded({
    databaseDir: folder,
    port,
    persistent: true,
    postgresFlags: [
      'fsync=off',
      `max_connections=${String(settings?.connections)}`,
      `primary_conninfo=${upstream}`,
    ].flatMap((setting) => ['-c', setting]),
    onLog() {},
    onError() {},
  });
  // Resolves only once it has been promoted.
  const promoted = server.start();
  await execute(primary.url, `alter system set synchronous_standby_names = '*'`);
  await execute(primary.url, 'select pg_reload_conf()');
  // Both take a while. Even where a commit does not wait for the standby yet, the primary does before it stops.
  const replicating = `select sync_state from pg_stat_replication`;
  await expect.poll(() => execute(primary.url, replicating)).toEqual([{ sync_state: 'sync' }]);
  return {
    port,
    async promote() {
      await execute(url.href, 'select pg_promote()');
      await promoted;
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
