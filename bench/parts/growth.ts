import type { Call } from '../load/load.ts';
import { byCpuTime, measure, ratesOf } from '../load/measure.ts';
import { hashOf, PASSWORD, population, type Population } from '../population.ts';
import { perSecond, round, withSpread, type Part, type Row } from '../results.ts';
import { cores } from '../servers/cores.ts';
import type { ServerProcess } from '../servers/process.ts';
import { loginOf, readOf, refreshOf, startProduct } from '../servers/stacks.ts';
import { interleave, ratios, summarize } from '../statistics.ts';
import { startPostgres } from '../../src/server/testing/postgres.ts';

const CONNECTIONS = 8;
const SIZES = [1_000, 100_000, 1_000_000] as const;
const [SMALLEST] = SIZES;
/** Calls in a round. */
const READS = 4_000;
/** As many as the pages of the log after which SQLite writes a checkpoint, so that each round has one. */
const REFRESHES = 1_000;
const LOGINS = 8;
/** The same for all sizes: more of them take longer by themselves. They have read before anybody refreshes. */
const READERS = SMALLEST;
/** Cheap, because hashing takes the same time whatever the number of accounts. */
const COST = 10;
const ROUNDS = { reads: 8, refreshes: 8, logins: 3 };
const WARM_UP = 2;
const TIMEOUT_SECONDS = 30;

/** Whether calls stay fast as sessions accumulate, on both databases. */
export const growth: Part = async () => {
  const hash = await hashOf(PASSWORD, COST);
  const onSqlite = await measureOn('SQLite', hash);
  await using server = await startPostgres({ durable: true });
  return [...onSqlite, ...(await measureOn('PostgreSQL', hash, server.url))];
};

async function measureOn(database: string, hash: string, postgres?: string): Promise<Row[]> {
  await using opened = new AsyncDisposableStack();
  const sides: Record<number, ReturnType<typeof callsOf>> = {};
  for (const size of SIZES) {
    const sample = Math.min(size, READERS + REFRESHES * (ROUNDS.refreshes + WARM_UP));
    const people = opened.use(await population(size, hash, { postgres, sample }));
    const settings = { ...people.settings, BCRYPT_COST: String(COST) };
    const server = opened.use(await startProduct({ core: cores?.server, ...people, settings }));
    sides[size] = callsOf(server, people);
  }
  const rows: Row[] = [];
  const measured = [
    ['auth.me', 'reads'],
    ['auth.refresh', 'refreshes'],
    ['auth.login', 'logins'],
  ] as const;
  for (const [procedure, kind] of measured) {
    const bySize = Object.fromEntries(Object.entries(sides).map(([size, calls]) => [size, calls[kind]]));
    const results = await interleave(bySize, { rounds: ROUNDS[kind], warmUp: WARM_UP });
    const of = (size: number) => results[size] ?? [];
    const ratesWith = (size: number) => ratesOf(of(size));
    for (const size of SIZES.slice(1))
      rows.push({
        what: `\`${procedure}\` on ${database} with ${round(size)} sessions ÷ with ${round(SMALLEST)}`,
        reached: withSpread(ratios(ratesWith(size), ratesWith(SMALLEST))),
        aim: '≥ 0.9',
        figures: `${perSecond(summarize(ratesWith(size)))} ÷ ${perSecond(summarize(ratesWith(SMALLEST)))}${byCpuTime(of(size), of(SMALLEST))}`,
      });
  }
  return rows;
}

function callsOf(server: ServerProcess, { sessions, rewind }: Pick<Population, 'sessions' | 'rewind'>) {
  const measureAll = (calls: Call[]) =>
    measure(server, { calls, connections: CONNECTIONS, seconds: TIMEOUT_SECONDS, once: true });
  const reads = sessions.slice(0, READERS).map(readOf);
  const others = sessions.length > READERS ? sessions.slice(READERS) : sessions.slice(0, REFRESHES);
  const take = takesOf(others, REFRESHES);
  const takePeople = takesOf(sessions, LOGINS);
  return {
    reads: () => measureAll(Array.from({ length: READS }, (_, number) => reads[number % READERS]!)),
    async refreshes() {
      // With too few for all rounds, each round needs the same ones, and a second refresh within a minute would not rotate.
      if (others.length === REFRESHES) await rewind();
      return measureAll(take().map(refreshOf));
    },
    logins: () => measureAll(takePeople().map(loginOf)),
  };
}

/** @returns a function that takes the next so many, and begins again after the last */
function takesOf<Item>(items: Item[], count: number): () => Item[] {
  let next = 0;
  return () => {
    if (next + count > items.length) next = 0;
    return items.slice(next, (next += count));
  };
}
