import { parseArgs } from 'node:util';
import { copyToPostgres, findTables } from './db/copy.ts';
import { loadEnvFile, readDatabase } from './env.ts';
import { runScript } from './script.ts';
import { StartupError } from './startup-error.ts';

// npm run db:copy -- --from file:./data/latchkey.db --to postgres://…
await runScript(async () => {
  const { values } = parseArgs({ options: { from: { type: 'string' }, to: { type: 'string' } } });
  loadEnvFile();
  const from = readDatabase(values.from, '--from');
  const to = readDatabase(values.to, '--to');
  if (from.kind !== 'sqlite' || to.kind !== 'postgres')
    throw new StartupError('db:copy goes from SQLite to PostgreSQL: --from file:./data/latchkey.db --to postgres://…');
  const copied = await copyToPostgres(from.path, to.url, await findTables());
  return copied.map(({ name, rows }) => `${name}: ${rows.toLocaleString('en')} rows, verified`);
});
