import { generate, latenciesOf } from '../load/load.ts';
import { byCpuTime, measure, ratesOf } from '../load/measure.ts';
import { population } from '../population.ts';
import { milliseconds, perSecond, round, withSpread, type Part } from '../results.ts';
import { cores } from '../servers/cores.ts';
import { countFsyncs } from '../servers/fsyncs.ts';
import { refreshOf, startBare, startProduct } from '../servers/stacks.ts';
import { interleave, percentile, ratios, summarize } from '../statistics.ts';

const CONNECTIONS = 8;
const SECONDS = 2;
const ROUNDS = 5;
/** It takes so long until V8 has optimized a refresh. */
const WARM_UP = 4;
/** More than any server handles in a round: within a minute, a second refresh of a session would not rotate. */
const SESSIONS = 10_000;
const TRACED = 2_000;

/** Rotating refreshes per second, and their fsyncs. */
export const refresh: Part = async () => {
  const core = cores?.server;
  await using people = await population(SESSIONS);
  await using bare = await startBare({ core });
  await using product = await startProduct({ core, ...people });
  const calls = people.sessions.map(refreshOf);
  const common = { connections: CONNECTIONS, seconds: SECONDS };
  const results = await interleave(
    {
      bare: () => measure(bare, { ...common, calls: bare.reads }),
      async product() {
        await people.rewind();
        return measure(product, { ...common, calls, once: true });
      },
    },
    { rounds: ROUNDS, warmUp: WARM_UP },
  );
  const [ours, theirs] = [ratesOf(results.product), ratesOf(results.bare)];
  const p99 = summarize(results.product.map((result) => percentile(latenciesOf(result), 99)));

  await people.rewind();
  const fsyncs = await countFsyncs(product, async () => {
    const traced = calls.slice(0, TRACED);
    await generate([{ port: product.port, calls: traced, connections: CONNECTIONS, seconds: 60, once: true }]);
  });
  return [
    {
      what: '`auth.refresh` (rotating) ÷ bare tRPC',
      reached: withSpread(ratios(ours, theirs)),
      aim: '≥ 0.6',
      figures: `${perSecond(summarize(ours))} ÷ ${perSecond(summarize(theirs))}${byCpuTime(results.product, results.bare)}; p99 ${milliseconds(p99, 1)}`,
    },
    {
      what: `fsyncs in ${round(TRACED)} refreshes`,
      reached: fsyncs.kind === 'counted' ? String(fsyncs.count) : 'not counted',
      aim: '0, but for checkpoints',
      figures: fsyncs.kind === 'counted' ? 'counted with strace' : fsyncs.why,
    },
  ];
};
