import { afterAll, inject } from 'vitest';
import { createDatabase, execute, type TestDatabase } from '../../src/server/testing/postgres.ts';
import { balancerBefore } from './balancer.ts';
import { startProductAs, type Options, type RunningServer, type StartOne } from './server.ts';

// For the stories that are also told of two servers on one PostgreSQL database, which answer in turn.

interface Pair {
  settings: string;
  servers: readonly [RunningServer, RunningServer];
  database: TestDatabase;
}

/** Pairs that a story of this file has left as it found them, for the next story with the same settings. */
const idle: Pair[] = [];
/** By working directory, so that servers that are started again find their database again. */
const databases = new Map<string, TestDatabase>();

afterAll(async () => {
  await Promise.all(idle.splice(0).map(endPair));
});

startProductAs(async (startOne, { settings: { PORT, ...settings } = {}, ...where }) => {
  const options = { ...where, settings };
  const pair = (await idlePair(options)) ?? (await startPair(startOne, options));
  const { servers, database } = pair;
  const [first, second] = servers;
  const balancer = await balancerBefore(servers, Number(PORT ?? 0)).catch(async (error: unknown) => {
    await endPair(pair);
    throw error;
  });
  const isShared = where.folder === undefined && where.project === undefined;
  let isStopped = false;

  async function stop(): Promise<number | null> {
    isStopped = true;
    const closed = balancer.close();
    const codes = await Promise.all(servers.map((server) => server.stop()));
    await closed;
    return codes.find((code) => code !== 0) ?? 0;
  }

  return {
    ...first,
    url: balancer.url,
    port: Number(new URL(balancer.url).port),
    output: () => first.output() + second.output(),
    query: (sql, ...values) => execute(database.url, sql, values),
    stop,
    async [Symbol.asyncDispose]() {
      if (isShared && !isStopped) {
        await balancer[Symbol.asyncDispose]();
        idle.push(pair);
        return;
      }
      // The page of a story that starts servers again is still open: they end its stream, which the balancer would cut off.
      if (!isStopped) await stop();
      await endPair(pair);
    },
  };
});

async function idlePair({ settings, folder, project }: Options): Promise<Pair | undefined> {
  if (folder !== undefined || project !== undefined) return undefined;
  const index = idle.findIndex((pair) => pair.settings === JSON.stringify(settings));
  if (index === -1) return undefined;
  const [pair] = idle.splice(index, 1);
  await empty(pair!.database);
  return pair;
}

async function startPair(startOne: StartOne, { settings, folder, ...where }: Options): Promise<Pair> {
  const known = folder === undefined ? undefined : databases.get(folder);
  const database = known ?? (await createDatabase(inject('postgresUrl'), inject('postgresTemplate')));
  const options = { ...where, ...(folder !== undefined && { folder }) };
  const onDatabase = { ...options, settings: { ...settings, DATABASE_URL: database.url } };
  const servers = await Promise.all([startOne(onDatabase), startOne(onDatabase)]);
  databases.set(servers[0].folder, database);
  // Whoever created the database drops it.
  const owned = known === undefined ? database : { url: database.url, async [Symbol.asyncDispose]() {} };
  return { settings: JSON.stringify(settings), servers, database: owned };
}

async function endPair({ servers, database }: Pair): Promise<void> {
  await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
  await database[Symbol.asyncDispose]();
}

/** Every table but that of the migrations, which is in another schema. */
async function empty({ url }: TestDatabase): Promise<void> {
  const tables = await execute(url, "select quote_ident(tablename) as name from pg_tables where schemaname = 'public'");
  await execute(url, `truncate ${tables.map(({ name }) => String(name)).join(', ')} restart identity`);
}
