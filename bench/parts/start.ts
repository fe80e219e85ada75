import { population } from '../population.ts';
import { milliseconds, withSpread, type Part } from '../results.ts';
import { cores } from '../servers/cores.ts';
import { PEOPLE, startBare, startProduct, type Stack } from '../servers/stacks.ts';
import { interleave, ratios, summarize } from '../statistics.ts';

const ROUNDS = 5;

/** From spawning the process, on one core, to its first response. */
export const start: Part = async () => {
  const core = cores?.server;
  await using people = await population(PEOPLE);
  const timed = (begin: () => Promise<Stack>) => async () => {
    const began = performance.now();
    await using server = await begin();
    const [{ path, headers } = { path: '' }] = server.reads;
    await (await fetch(`http://127.0.0.1:${server.port}${path}`, { ...(headers && { headers }) })).text();
    return performance.now() - began;
  };
  const times = await interleave(
    { bare: timed(() => startBare({ core })), product: timed(() => startProduct({ core, ...people })) },
    { rounds: ROUNDS },
  );
  return [
    {
      what: 'start to first answer ÷ bare tRPC',
      reached: withSpread(ratios(times.product, times.bare)),
      aim: '≤ 1.5',
      figures: `${milliseconds(summarize(times.product))} ÷ ${milliseconds(summarize(times.bare))}`,
    },
  ];
};
