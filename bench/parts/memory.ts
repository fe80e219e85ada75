import { generate } from '../load/load.ts';
import { population } from '../population.ts';
import { megabytes, withSpread, type Part, type Row } from '../results.ts';
import { cores } from '../servers/cores.ts';
import { residentMegabytes } from '../servers/process.ts';
import { PEOPLE, startBare, startProduct, type Stack } from '../servers/stacks.ts';
import { interleave, ratios, summarize } from '../statistics.ts';

const CONNECTIONS = 8;
const ROUNDS = 3;
/** A fixed number, because in a fixed time a faster server would do more. */
const READS = 20_000;
const LONGEST_SECONDS = 20;

export const memory: Part = async () => {
  if (process.platform !== 'linux') return [{ what: 'resident memory', reached: 'measured on Linux only' }];
  const core = cores?.server;
  await using people = await population(PEOPLE);
  const measured = (begin: () => Promise<Stack>) => async () => {
    await using server = await begin();
    const atStart = await residentMegabytes(server);
    const calls = Array.from({ length: READS }, (_, number) => server.reads[number % server.reads.length]!);
    await generate([{ port: server.port, calls, connections: CONNECTIONS, seconds: LONGEST_SECONDS, once: true }]);
    return { atStart, afterLoad: await residentMegabytes(server) };
  };
  const results = await interleave(
    { bare: measured(() => startBare({ core })), product: measured(() => startProduct({ core, ...people })) },
    { rounds: ROUNDS, warmUp: 0 },
  );
  const row = (when: 'atStart' | 'afterLoad', what: string): Row => {
    const [ours, theirs] = [results.product.map((one) => one[when]), results.bare.map((one) => one[when])];
    return {
      what: `resident memory ${what} ÷ bare tRPC`,
      reached: withSpread(ratios(ours, theirs)),
      aim: '≤ 1.5',
      figures: `${megabytes(summarize(ours))} ÷ ${megabytes(summarize(theirs))}`,
    };
  };
  return [row('atStart', 'after start'), row('afterLoad', 'after load')];
};
