import { generate } from '../load/load.ts';
import { population, rewind, type SeededSession } from '../population.ts';
import { perSecond, round, withSpread, type Part } from '../results.ts';
import { cores } from '../servers/cores.ts';
import { refreshOf, startProduct } from '../servers/stacks.ts';
import { interleave, ratios, summarize } from '../statistics.ts';

const CONNECTIONS = 8;
const THOUSAND = 1_000;
const MILLION = 1_000_000;
const ROUNDS = 11;
const WARM_UP = 4;

/** Whether refreshes stay fast as sessions accumulate. */
export const growth: Part = async () => {
  const core = cores?.server;
  await using few = await population(THOUSAND);
  await using many = await population(MILLION);
  await using small = await startProduct({ core, ...few });
  await using large = await startProduct({ core, ...many });
  const refreshAll = async (port: number, sessions: SeededSession[]) => {
    const calls = sessions.map(refreshOf);
    const [result] = await generate([{ port, calls, connections: CONNECTIONS, seconds: 30, once: true }]);
    return result.perSecond;
  };
  // IDs are random, so each round covers the whole index.
  let used = 0;
  const rates = await interleave(
    {
      few: async () => {
        // Each round refreshes all thousand, and within a minute a second refresh would not rotate.
        rewind(few.folder);
        return refreshAll(small.port, few.sessions);
      },
      many: () => refreshAll(large.port, many.sessions.slice(used, (used += THOUSAND))),
    },
    { rounds: ROUNDS, warmUp: WARM_UP },
  );
  return [
    {
      what: `\`auth.refresh\` with ${round(MILLION)} sessions ÷ with ${round(THOUSAND)}`,
      reached: withSpread(ratios(rates.many, rates.few)),
      aim: '≥ 0.9',
      figures: `${perSecond(summarize(rates.many))} ÷ ${perSecond(summarize(rates.few))}, in rounds of ${round(THOUSAND)}`,
    },
  ];
};
