import { execute } from '../../src/server/testing/postgres.ts';
import { cpuSeconds } from './process.ts';

/** Seconds of CPU time used so far by PostgreSQL for the connections that are open now; NaN without /proc (Linux only). */
export async function backendsCpuSeconds(url: string): Promise<number> {
  const rows = await execute(url, "select pid from pg_stat_activity where application_name = 'latchkey'");
  const seconds = await Promise.all(rows.map(({ pid }) => cpuSeconds({ pid: Number(pid) })));
  return seconds.reduce((sum, each) => sum + each, 0);
}
