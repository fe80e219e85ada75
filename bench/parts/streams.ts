import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openStreams } from '../load/streams.ts';
import { accessTokenOf, population, type SeededSession } from '../population.ts';
import { round, type Part } from '../results.ts';
import { cores } from '../servers/cores.ts';
import { cpuSeconds } from '../servers/process.ts';
import { startProduct } from '../servers/stacks.ts';

const STREAMS = 5_000;
const SECONDS = 30;
/** Lets the server finish what it does when streams open. */
const SETTLE_MS = 3_000;
const COUNTER = fileURLToPath(new URL('../servers/count-statements.ts', import.meta.url));
const PATH = '/trpc/auth.sessionEvents';

const headersOf = (session: SeededSession) => ({ authorization: `Bearer ${accessTokenOf(session)}` });

/** The cost of idle open pages. */
export const streams: Part = async () => {
  if (process.platform !== 'linux') return [{ what: 'open streams', reached: 'measured on Linux only' }];
  const [statements, busySeconds] = await Promise.all([statementsOfOneStream(), cpuSecondsOfManyStreams()]);
  return [
    {
      what: 'one open `auth.sessionEvents` stream: statements per second',
      reached: round(statements / SECONDS, 2),
      aim: 'none per second: one look in 10 s',
      figures: `${statements} in ${SECONDS} s`,
    },
    {
      what: `${round(STREAMS)} open streams: share of a core`,
      reached: `${round((100 * busySeconds) / SECONDS, 1)} %`,
      aim: '< 10 %',
      figures: `${round(busySeconds, 2)} s of CPU time in ${SECONDS} s`,
    },
  ];
};

async function statementsOfOneStream(): Promise<number> {
  await using people = await population(1);
  await using product = await startProduct({ core: cores?.server, ...people, preload: COUNTER });
  const count = async () => {
    const line = product.nextError();
    product.signal('SIGUSR2');
    return Number(await line);
  };
  using _open = await openStreams(product.port, PATH, people.sessions.map(headersOf));
  await setTimeout(SETTLE_MS);
  const before = await count();
  await setTimeout(SECONDS * 1000);
  return (await count()) - before;
}

async function cpuSecondsOfManyStreams(): Promise<number> {
  await using people = await population(STREAMS);
  await using product = await startProduct({ core: cores?.server, ...people });
  using streams = await openStreams(product.port, PATH, people.sessions.map(headersOf));
  await setTimeout(SETTLE_MS);
  const before = await cpuSeconds(product);
  await setTimeout(SECONDS * 1000);
  const used = (await cpuSeconds(product)) - before;
  if (streams.open() < STREAMS) throw new Error(`Only ${streams.open()} streams of ${STREAMS} stayed open.`);
  return used;
}
