import { startPostgres } from '../../src/server/testing/postgres.ts';
import { generate, latenciesOf } from '../load/load.ts';
import { population } from '../population.ts';
import { perSecond, round, withSpread, type Part } from '../results.ts';
import { cores } from '../servers/cores.ts';
import { backendsCpuSeconds } from '../servers/postgres-cpu.ts';
import { cpuSeconds } from '../servers/process.ts';
import { limitCpu } from '../servers/quota.ts';
import { PEOPLE, startProduct, type Stack } from '../servers/stacks.ts';
import { interleave, ratios, summarize } from '../statistics.ts';

const CONNECTIONS = 16;
const SECONDS = 2;
const ROUNDS = 5;
const WARM_UP = 1;
/** Small enough that PostgreSQL and the load have what they need on two cores. */
const SHARE_OF_CORE = 0.25;

const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0);

/** Reads on PostgreSQL beside SQLite, and what a second server adds. */
export const postgres: Part = async () => {
  await using database = await startPostgres({ durable: true });
  await using onSqlite = await population(PEOPLE);
  await using onPostgres = await population(PEOPLE, 'x', { postgres: database.url });
  const core = cores?.server;
  await using sqlite = await startProduct({ core, ...onSqlite });
  await using one = await startProduct({ core, ...onPostgres });
  await using two = await startProduct({ ...onPostgres });

  /** Loads all servers at once, each with as many connections as one alone. */
  const measureAll = async (...servers: Stack[]) => {
    const used = async () => {
      const all = await Promise.all(servers.map(cpuSeconds));
      return { servers: sum(all), database: await backendsCpuSeconds(database.url) };
    };
    const before = await used();
    const results = await generate(
      servers.map(({ port, reads }) => ({ port, calls: reads, connections: CONNECTIONS, seconds: SECONDS })),
    );
    const after = await used();
    const microsecondsPerCall = 1e6 / sum(results.map((result) => latenciesOf(result).length));
    return {
      perSecond: sum(results.map(({ perSecond }) => perSecond)),
      cpu: (after.servers - before.servers) * microsecondsPerCall,
      databaseCpu: (after.database - before.database) * microsecondsPerCall,
    };
  };
  const results = await interleave(
    { sqlite: () => measureAll(sqlite), one: () => measureAll(one), two: () => measureAll(one, two) },
    { rounds: ROUNDS, warmUp: WARM_UP },
  );
  // Each server with the same share, as if it had a machine of its own.
  await using limits = await limitCpu([one, two], SHARE_OF_CORE);
  const limited =
    limits === undefined
      ? undefined
      : await interleave(
          { one: () => measureAll(one), two: () => measureAll(one, two) },
          { rounds: ROUNDS, warmUp: WARM_UP },
        );
  const columnOf = (column: 'perSecond' | 'cpu' | 'databaseCpu') => ({
    sqlite: results.sqlite.map((result) => result[column]),
    one: results.one.map((result) => result[column]),
  });
  const [rates, cpu, databaseCpu] = [columnOf('perSecond'), columnOf('cpu'), columnOf('databaseCpu')];
  const microseconds = (numbers: number[]) => `${round(summarize(numbers).median)} µs`;
  return [
    {
      what: '`auth.me` on PostgreSQL ÷ on SQLite',
      reached: withSpread(ratios(rates.one, rates.sqlite)),
      aim: '≥ 0.5',
      figures: `${perSecond(summarize(rates.one))} ÷ ${perSecond(summarize(rates.sqlite))}; load and PostgreSQL share the other cores`,
    },
    {
      what: '`auth.me` on PostgreSQL ÷ on SQLite, by the CPU time of the server',
      reached: withSpread(ratios(cpu.sqlite, cpu.one)),
      aim: '≥ 0.5',
      figures: `${microseconds(cpu.sqlite)} ÷ ${microseconds(cpu.one)} a call, and ${microseconds(databaseCpu.one)} of PostgreSQL`,
    },
    {
      what: `two servers ÷ one, on PostgreSQL, where each has ${SHARE_OF_CORE * 100} % of a core`,
      ...(limited === undefined
        ? { reached: 'not measured', figures: 'the CPU time of a process cannot be limited here' }
        : scaling(limited.one, limited.two)),
      aim: '≥ 1.8',
    },
    {
      what: 'two servers ÷ one, on PostgreSQL, sharing all cores with it and with the load',
      ...scaling(results.one, results.two),
      aim: '≥ 1.8 with four cores or more',
    },
  ];
};

interface Rate {
  perSecond: number;
}

function scaling(one: Rate[], two: Rate[]) {
  const rateOfOne = one.map(({ perSecond }) => perSecond);
  const rateOfTwo = two.map(({ perSecond }) => perSecond);
  return {
    reached: withSpread(ratios(rateOfTwo, rateOfOne)),
    figures: `${perSecond(summarize(rateOfTwo))} ÷ ${perSecond(summarize(rateOfOne))}`,
  };
}
