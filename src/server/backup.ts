import { parseArgs } from 'node:util';
import { backUpSqlite } from './db/backup.ts';
import { loadEnvFile, readDatabase } from './env.ts';
import { runScript } from './script.ts';
import { StartupError } from './startup-error.ts';

// npm run db:backup [-- target]
await runScript(async () => {
  const { positionals } = parseArgs({ allowPositionals: true });
  if (positionals.length > 1) throw new StartupError('Give one file to back up to, or none.');
  loadEnvFile();
  const database = readDatabase();
  if (database.kind === 'postgres')
    throw new StartupError(
      'db:backup is for SQLite. Back up PostgreSQL with pg_dump, or with the backups of your provider.',
    );
  const { path } = database;
  const [target = `${path.replace(/\.db$/, '')}-${new Date().toISOString().replaceAll(':', '')}.db`] = positionals;
  const bytes = await backUpSqlite(path, target);
  return [`Backed up ${path} to ${target}, ${bytes.toLocaleString('en')} bytes, verified.`];
});
