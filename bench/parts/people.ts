import { startPostgres } from '../../src/server/testing/postgres.ts';
import { accessTokenOf, emailOf, population, usernameOf } from '../population.ts';
import { milliseconds, round, withSpread, type Part, type Row } from '../results.ts';
import { cores } from '../servers/cores.ts';
import { startProduct } from '../servers/stacks.ts';
import { interleave, ratios, summarize } from '../statistics.ts';

const SMALL = 1_000;
const LARGE = 1_000_000;
const PAGE = 50;
/** One after the other: what counts is how long an admin waits. */
const REQUESTS = 10;
const ROUNDS = { rounds: 7, warmUp: 2 };

/** Whether the pages for admins stay fast with the number of people, on both databases. */
export const people: Part = async () => {
  const onSqlite = await measureOn('SQLite');
  await using server = await startPostgres();
  return [...onSqlite, ...(await measureOn('PostgreSQL', server.url))];
};

async function measureOn(database: string, postgres?: string): Promise<Row[]> {
  await using opened = new AsyncDisposableStack();
  const sides: Record<number, Record<string, () => Promise<number>>> = {};
  for (const size of [SMALL, LARGE]) {
    const created = opened.use(await population(size, 'x', { postgres, sample: 1 }));
    const [admin] = created.sessions;
    if (admin === undefined) throw new Error('There is no account to make an admin.');
    await created.run([`UPDATE users SET role = 'admin' WHERE id = '${admin.userId}'`]);
    const { port } = opened.use(await startProduct({ core: cores?.server, ...created }));
    const read = (procedure: string, input: object) => () =>
      timed(`http://127.0.0.1:${port}/trpc/admin.${procedure}`, input, accessTokenOf(admin));
    sides[size] = {
      'the first page of people': read('people', {}),
      'the last page of people': read('people', { cursor: lastPageOf(size) }),
      'a search that finds one': read('people', { search: emailOf(SMALL - 1) }),
      'a search that finds nobody': read('people', { search: 'zz' }),
      'one person': read('person', { id: admin.userId }),
    };
  }
  const rows: Row[] = [];
  for (const what of Object.keys(sides[SMALL] ?? {})) {
    const of = (size: number) => sides[size]?.[what] ?? (() => Promise.reject(new Error(`No ${what}`)));
    const times = await interleave({ small: of(SMALL), large: of(LARGE) }, ROUNDS);
    const spread = (all: number[]) => `${milliseconds(summarize(all), 1)} (${range(all)})`;
    rows.push({
      what: `${what}, on ${database} with ${round(LARGE)} people ÷ with ${round(SMALL)}`,
      reached: withSpread(ratios(times.large, times.small)),
      aim: '≤ 2',
      figures: `${spread(times.large)} ÷ ${spread(times.small)}`,
    });
  }
  return rows;
}

function range(times: number[]): string {
  const { min, max } = summarize(times);
  return `${round(min, 1)}–${round(max, 1)}`;
}

/** @returns the median, in milliseconds, from the request to the whole answer */
async function timed(url: string, input: object, accessToken: string): Promise<number> {
  const times: number[] = [];
  for (let requests = 0; requests < REQUESTS; requests += 1) {
    const began = performance.now();
    const answer = await fetch(`${url}?input=${encodeURIComponent(JSON.stringify(input))}`, {
      headers: { authorization: `Bearer ${accessToken}` },
    });
    const text = await answer.text();
    times.push(performance.now() - began);
    if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 200)}`);
  }
  return summarize(times).median;
}

/** The cursor of a page that a reader would reach after all others. */
function lastPageOf(size: number): string {
  const after = Array.from({ length: size }, (_, number) => usernameOf(number))
    .toSorted()
    .at(-PAGE - 1);
  return Buffer.from(JSON.stringify({ by: 'username', after })).toString('base64url');
}
