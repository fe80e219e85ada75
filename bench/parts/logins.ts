import { availableParallelism } from 'node:os';
import { compareSync } from 'bcryptjs';
import { generate, latenciesOf } from '../load/load.ts';
import { hashOf, PASSWORD, population } from '../population.ts';
import { milliseconds, perSecond, round, withSpread, type Part, type Row } from '../results.ts';
import { PEOPLE, startBetterAuth, startProduct, startTutorial, type Stack } from '../servers/stacks.ts';
import { interleave, percentile, ratios, summarize } from '../statistics.ts';

const COST = 12;
const CONNECTIONS = 8;
const IDLE_SECONDS = 1;
const BUSY_SECONDS = 4;
const HASHING_MS = 1_000;
const ROUNDS = 3;
/** More than fit into the queue on any likely machine. */
const CROWD = 80;
const TRIES = 40;
const OVERLOADED = 503;

/** Logins per second, and their effect on other calls. Nothing is pinned: logins use all cores. */
export const logins: Part = async () => {
  const hash = await hashOf(PASSWORD, COST);
  await using people = await population(PEOPLE, hash);
  await using tutorial = await startTutorial();
  await using betterAuth = await startBetterAuth();
  await using product = await startProduct({ ...people, settings: { BCRYPT_COST: String(COST) } });
  const hashing = availableParallelism() - 1 || 1;
  const results = await interleave(
    {
      // One core stays free for everything else.
      hashes: async () => ({ rate: hashesPerSecond(hash) * hashing, idle: Number.NaN, busy: Number.NaN }),
      product: () => readsDuringLogins(product),
      tutorial: () => readsDuringLogins(tutorial),
      betterAuth: () => readsDuringLogins(betterAuth),
    },
    { rounds: ROUNDS },
  );
  const ratesOf = (side: keyof typeof results) => results[side].map(({ rate }) => rate);
  const row = (side: 'product' | 'tutorial' | 'betterAuth', what: string, aim?: string): Row => {
    const [busy, idle] = [results[side].map((one) => one.busy), results[side].map((one) => one.idle)];
    return {
      what: `p99 of ${what}, logins at full load ÷ none`,
      reached: withSpread(ratios(busy, idle), 1),
      ...(aim !== undefined && { aim }),
      figures: `${milliseconds(summarize(busy), 2)} ÷ ${milliseconds(summarize(idle), 2)}, at ${perSecond(summarize(ratesOf(side)), 1)} logins`,
    };
  };
  return [
    {
      what: `logins/s ÷ what ${hashing} of ${availableParallelism()} cores can hash (bcrypt, cost ${COST})`,
      reached: withSpread(ratios(ratesOf('product'), ratesOf('hashes'))),
      aim: '≥ 0.9',
      figures: `${perSecond(summarize(ratesOf('product')), 1)} ÷ ${perSecond(summarize(ratesOf('hashes')), 1)}`,
    },
    row('product', '`auth.me`', '≤ 2'),
    row('tutorial', "the tutorial's read"),
    row('betterAuth', "Better Auth's session read"),
    await refusals(product),
  ];
};

/** Hashes per second on one idle core. */
function hashesPerSecond(hash: string): number {
  const began = performance.now();
  let count = 0;
  while (performance.now() - began < HASHING_MS) {
    compareSync(PASSWORD, hash);
    count++;
  }
  return (count * 1000) / (performance.now() - began);
}

/** @returns logins per second, and the p99 of reads in milliseconds, without and with logins */
async function readsDuringLogins({ port, reads, logins }: Stack) {
  const read = { port, calls: reads, connections: 1 };
  const [idle] = await generate([{ ...read, seconds: IDLE_SECONDS }], { pinned: false });
  const [busy, loggedIn] = await generate(
    [
      { ...read, seconds: BUSY_SECONDS },
      { port, calls: logins, connections: CONNECTIONS, seconds: BUSY_SECONDS },
    ],
    { pinned: false },
  );
  return {
    rate: loggedIn.perSecond,
    idle: percentile(latenciesOf(idle), 99),
    busy: percentile(latenciesOf(busy), 99),
  };
}

/** Fills the login queue, then tries a few more in sequence. */
async function refusals({ port, logins }: Stack): Promise<Row> {
  const allowed = [OVERLOADED];
  const tries = logins.slice(CROWD, CROWD + TRIES);
  const [, late] = await generate(
    [
      { port, calls: logins.slice(0, CROWD), connections: CROWD, seconds: 60, once: true, allowed },
      // After the crowd has been refused or queued.
      { port, calls: tries, connections: 8, seconds: 60, once: true, rate: 1, delaySeconds: 2, allowed },
    ],
    { pinned: false },
  );
  const times = late.latenciesMs[OVERLOADED] ?? [];
  const { median, max } = summarize(times);
  return {
    what: 'login refused beyond the queue: time to answer',
    reached: times.length === 0 ? 'none was refused' : `${round(median, 1)} ms, at most ${round(max, 1)} ms`,
    aim: '< 10 ms',
    figures: `${times.length} of ${TRIES} refused after ${CROWD} concurrent logins`,
  };
}
