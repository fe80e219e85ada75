import { withSpread } from '../results.ts';
import { cpuSeconds, type ServerProcess } from '../servers/process.ts';
import { ratios } from '../statistics.ts';
import { generate, latenciesOf, type Load, type LoadResult } from './load.ts';

export interface Measured extends LoadResult {
  /** Server CPU time per response, over all threads. Steadier than a rate on a shared machine. */
  cpuMicroseconds: number;
}

export async function measure(server: ServerProcess, load: Omit<Load, 'port'>): Promise<Measured> {
  const before = await cpuSeconds(server);
  const [result] = await generate([{ ...load, port: server.port }]);
  const used = (await cpuSeconds(server)) - before;
  return { ...result, cpuMicroseconds: (used * 1e6) / latenciesOf(result).length };
}

export const ratesOf = (rounds: readonly Measured[]): number[] => rounds.map(({ perSecond }) => perSecond);

/** The ratio by CPU time instead of rate; empty if unknown. */
export function byCpuTime(ours: readonly Measured[], theirs: readonly Measured[]): string {
  const [dividend, divisor] = [theirs, ours].map((rounds) => rounds.map(({ cpuMicroseconds }) => cpuMicroseconds));
  const ratio = ratios(dividend ?? [], divisor ?? []);
  return Number.isNaN(ratio.median) ? '' : `; by CPU time ${withSpread(ratio)}`;
}
