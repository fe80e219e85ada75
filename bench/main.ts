import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { compareSync } from 'bcryptjs';
import { startOther, startProduct, type RunningServer } from '../e2e/support/server.ts';
import { measureBundle } from './bundle.ts';
import { requestsUntilWhole } from './expired-page.ts';
import { load, median, percentile, toRequest } from './load.ts';
import { accessTokenOf, emailOf, hashOf, PASSWORD, population, refreshTokenOf } from './population.ts';

// Absolute figures depend on the machine and its load. The ratios do not: both sides are measured alternately, in one run.

const { values: options } = parseArgs({
  options: {
    /** Also measure refreshes with a million sessions, which take a minute to create. */
    million: { type: 'boolean', default: false },
    /** Duration of each load, in seconds. */
    seconds: { type: 'string', default: '3' },
  },
});
const SECONDS = Number(options.seconds);
const ROUNDS = 3;
const CONNECTIONS = 8;
const PEOPLE = 20_000;
const MILLION = 1_000_000;
const COST = 12;
/** Logins to refuse. Each is for another account: an account is slowed down after ten wrong passwords. */
const GUESSES = 40;
/** Column widths of the table, in characters. */
const FIRST_COLUMN = 76;
const COLUMN = 16;

const round = (number: number, digits = 0) => number.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, ' ');
const kilobytes = (bytes: number) => `${round(bytes / 1024, 1)} KB`;
const report = (what: string, ...figures: string[]) => {
  const cells = ['', '', ''].map((none, column) => (figures[column] ?? none).padStart(COLUMN));
  process.stdout.write(`${[what.padEnd(FIRST_COLUMN), ...cells].join('').trimEnd()}\n`);
};

/** Resident memory, on Linux only: elsewhere it would take an external tool. */
async function memoryOf({ pid }: RunningServer): Promise<string> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
  return Number.isNaN(kb) ? 'unknown' : `${round(kb / 1024)} MB`;
}

/** Time from starting the process to its first response, in milliseconds. */
async function firstAnswer(start: () => Promise<RunningServer>, path: string): Promise<number> {
  const began = performance.now();
  await using server = await start();
  const response = await fetch(server.url + path);
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return performance.now() - began;
}

async function startTimes(): Promise<void> {
  const bare: number[] = [];
  const ours: number[] = [];
  for (let number = 0; number < ROUNDS; number++) {
    bare.push(await firstAnswer(() => startOther('node bench/bare-server.ts'), '/trpc/me'));
    ours.push(await firstAnswer(startProduct, '/readyz'));
  }
  const times = [median(bare), median(ours)];
  report('start to first response', ...times.map((ms) => `${round(ms)} ms`), ratio(times));
}

const ratio = ([bare = 0, ours = 0]: number[]) => `${(ours / bare).toFixed(2)} ×`;

/** Loads two servers alternately, so that other work on the machine affects both alike. */
async function compare(what: string, sides: [port: number, request: Buffer][]): Promise<void> {
  const rates: number[][] = sides.map(() => []);
  for (let number = 0; number < ROUNDS; number++)
    for (const [side, [port, request]] of sides.entries()) {
      const { perSecond, statuses } = await load(port, () => request, {
        connections: CONNECTIONS,
        seconds: SECONDS / ROUNDS,
      });
      if (Object.keys(statuses).some((status) => status !== '200')) throw new Error(JSON.stringify(statuses));
      rates[side]?.push(perSecond);
    }
  const medians = rates.map(median);
  report(what, ...medians.map((rate) => `${round(rate)}/s`), ratio(medians));
}

/** @param count number of sessions in the database */
async function refreshes(count: number): Promise<void> {
  await using people = await population(count);
  const { folder, sessions } = people;
  await using server = await startProduct({ folder });
  // Spread over the whole table. Each session once: a second refresh within a minute would not rotate.
  const step = Math.max(1, Math.floor(count / PEOPLE));
  const requests = sessions
    .filter((_session, index) => index % step === 0)
    .map((session) =>
      toRequest(server.port, '/trpc/auth.refresh', {
        body: {},
        headers: { cookie: `__Host-refreshToken=${refreshTokenOf(session)}` },
      }),
    );
  let index = 0;
  const result = await load(server.port, () => requests[index++], { connections: CONNECTIONS, seconds: SECONDS });
  if (Object.keys(result.statuses).some((status) => status !== '200')) throw new Error(JSON.stringify(result.statuses));
  const p99 = `p99 ${round(percentile(result.latencies, 99), 1)} ms`;
  report(`refreshes, with ${round(count)} sessions`, '', `${round(result.perSecond)}/s`, p99);
}

/** Hashes per second of one otherwise idle core. */
function hashesPerSecond(hash: string): number {
  const began = performance.now();
  let count = 0;
  while (performance.now() - began < 2_000) {
    compareSync(PASSWORD, hash);
    count++;
  }
  return (count * 1000) / (performance.now() - began);
}

async function logins(): Promise<void> {
  const hash = await hashOf(PASSWORD, COST);
  await using people = await population(1_000, hash);
  const { folder, sessions } = people;
  const [somebody] = sessions;
  const perCore = hashesPerSecond(hash);
  await using server = await startProduct({ folder, settings: { BCRYPT_COST: String(COST) } });
  const me = toRequest(server.port, '/trpc/auth.me', {
    headers: { authorization: `Bearer ${accessTokenOf(somebody!)}` },
  });
  let number = 0;
  const login = () =>
    toRequest(server.port, '/trpc/auth.login', { body: { email: emailOf(number++ % 1_000), password: PASSWORD } });

  const idle = await load(server.port, () => me, { connections: 1, seconds: SECONDS });
  const [busy, loaded] = await Promise.all([
    load(server.port, () => me, { connections: 1, seconds: 2 * SECONDS }),
    load(server.port, login, { connections: CONNECTIONS, seconds: 2 * SECONDS }),
  ]);
  const cores = Math.max(1, availableParallelism() - 1);
  report(
    `logins, hashed on ${cores} of ${availableParallelism()} cores (cost ${COST})`,
    `${round(perCore * cores, 1)}/s`,
    `${round(loaded.perSecond, 1)}/s`,
    ratio([perCore * cores, loaded.perSecond]),
  );
  const milliseconds = [idle, busy].map(({ latencies }) => percentile(latencies, 99));
  report(
    'p99 of auth.me, idle and while logins saturate the server',
    ...milliseconds.map((ms) => `${round(ms, 2)} ms`),
    ratio(milliseconds),
  );
}

/** Compares how long a refused login takes with and without an account of that email. */
async function guesses(): Promise<void> {
  const cost = 10;
  await using people = await population(GUESSES + 1, await hashOf(PASSWORD, cost));
  const { folder } = people;
  await using server = await startProduct({ folder, settings: { BCRYPT_COST: String(cost) } });
  const times: Record<'unknown' | 'known', number[]> = { unknown: [], known: [] };
  for (let number = 0; number <= GUESSES; number++)
    for (const [kind, email] of [
      ['unknown', `nobody${number}@example.com`],
      ['known', emailOf(number)],
    ] as const) {
      const request = toRequest(server.port, '/trpc/auth.login', { body: { email, password: 'not the password' } });
      let sent = false;
      const next = () => (sent ? undefined : ((sent = true), request));
      const { latencies } = await load(server.port, next, { connections: 1, seconds: 10 });
      // The first of each kind is a warm-up.
      if (number > 0) times[kind].push(...latencies);
    }
  const medians = [median(times.unknown), median(times.known)];
  report('refused login: unknown email, known email', ...medians.map((ms) => `${round(ms, 1)} ms`), ratio(medians));
}

async function reads(): Promise<void> {
  await using people = await population(1_000);
  const { folder, sessions } = people;
  const [somebody, ...others] = sessions;
  await using bare = await startOther('node bench/bare-server.ts');
  await using server = await startProduct({ folder });
  report('resident memory after start', await memoryOf(bare), await memoryOf(server));
  const headers = { authorization: `Bearer ${accessTokenOf(somebody!)}` };
  const plain = toRequest(bare.port, '/trpc/me');
  await compare('authenticated auth.me, against a bare procedure', [
    [bare.port, plain],
    [server.port, toRequest(server.port, '/trpc/auth.me', { headers })],
  ]);
  report('resident memory after that load', await memoryOf(bare), await memoryOf(server));

  for (const batched of [true, false])
    for (const knows of [true, false]) {
      const requests = await requestsUntilWhole(server.url, others.pop()!, { batched, knows });
      const how = `${batched ? 'batched' : 'not batched'}, expiry ${knows ? 'known' : 'not known'}`;
      report(`requests of an expired page with 20 queries (${how})`, '', String(requests));
    }
}

async function bundle(): Promise<void> {
  const { scripts, styles, shares } = await measureBundle();
  report('client scripts, gzipped', '', kilobytes(scripts));
  for (const [owner, bytes] of Object.entries(shares)) report(`  ${owner}`, '', kilobytes(bytes));
  report('client styles, gzipped', '', kilobytes(styles));
}

report('', 'baseline', 'Latchkey', 'ratio');
await bundle();
await startTimes();
await reads();
await refreshes(PEOPLE);
if (options.million) await refreshes(MILLION);
await logins();
await guesses();
