import { byCpuTime, measure, ratesOf } from '../load/measure.ts';
import { population } from '../population.ts';
import { perSecond, round, withSpread, type Part } from '../results.ts';
import { cores } from '../servers/cores.ts';
import { PEOPLE, startBare, startBetterAuth, startProduct, startTutorial, type Stack } from '../servers/stacks.ts';
import { interleave, ratios, summarize } from '../statistics.ts';

const CONNECTIONS = 8;
const SECONDS = 2;
const ROUNDS = 5;

export const reads: Part = async () => {
  const core = cores?.server;
  await using people = await population(PEOPLE);
  await using bare = await startBare({ core });
  await using tutorial = await startTutorial({ core });
  await using betterAuth = await startBetterAuth({ core });
  await using product = await startProduct({ core, ...people });
  const load = (stack: Stack) => () =>
    measure(stack, { calls: stack.reads, connections: CONNECTIONS, seconds: SECONDS });
  const results = await interleave(
    { bare: load(bare), tutorial: load(tutorial), betterAuth: load(betterAuth), product: load(product) },
    { rounds: ROUNDS, warmUp: 2 },
  );
  const ours = ratesOf(results.product);
  const row = (peer: 'bare' | 'tutorial' | 'betterAuth', name: string, aim: string) => ({
    what: `\`auth.me\` ÷ ${name}`,
    reached: withSpread(ratios(ours, ratesOf(results[peer]))),
    aim,
    figures: `${perSecond(summarize(ours))} ÷ ${perSecond(summarize(ratesOf(results[peer])))}${byCpuTime(results.product, results[peer])}`,
  });
  const busiest = Math.max(...Object.values(results).flatMap((all) => all.map(({ generatorBusy }) => generatorBusy)));
  return [
    row('bare', 'bare tRPC', '≥ 1.2, then 1.7'),
    row('tutorial', "the tutorial's read", '≥ 1'),
    row('betterAuth', "Better Auth's session read", '≥ 7'),
    {
      what: 'load generator: most of its core used in any round',
      reached: `${round(100 * busiest)} %`,
      figures: 'near 100 %, it holds the fastest server back',
    },
  ];
};
