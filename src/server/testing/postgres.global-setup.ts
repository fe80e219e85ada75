import type { TestProject } from 'vitest/node';
import { openPostgres } from '../db/postgres.ts';
import { createDatabase, startPostgres } from './postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the server that all tests of a run share; see `testDatabase`. */
    postgresUrl: string;
    /** A database with tables and no rows, which nothing may connect to. */
    postgresTemplate: string;
  }
}

async function start() {
  const server = await startPostgres();
  const { url } = await createDatabase(server.url);
  await (await openPostgres(url)).close();
  return { server, template: new URL(url).pathname.slice(1) };
}

// Each project runs this module for itself, but one server per run is enough.
const shared = globalThis as { latchkeyPostgres?: { users: number; running: ReturnType<typeof start> } };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = (shared.latchkeyPostgres ??= { users: 0, running: start() });
  postgres.users += 1;
  const { server, template } = await postgres.running;
  project.provide('postgresUrl', server.url);
  project.provide('postgresTemplate', template);
  return async () => {
    postgres.users -= 1;
    if (postgres.users > 0) return;
    delete shared.latchkeyPostgres;
    await server[Symbol.asyncDispose]();
  };
}
