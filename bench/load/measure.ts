import { withSpread } from '../results.ts';
import { cpuSeconds, type ServerProcess } from '../servers/process.ts';
import { ratios } from '../statistics.ts';
import { generate, latenciesOf, type Load, type LoadResult } from './load.ts';

export interface Measured extends LoadResult {
  /** CPU time of the server per answer, of all its threads. Steadier than a rate where others use the machine. */
  cpuMicroseconds: number;
}

/** Loads one server, and looks at what it used meanwhile. */
export async function measure(server: ServerProcess, load: Omit<Load, 'port'>): Promise<Measured> {
  const before = await cpuSeconds(server);
  const [result] = await generate([{ ...load, port: server.port }]);
  const used = (await cpuSeconds(server)) - before;
  return { ...result, cpuMicroseconds: (used * 1e6) / latenciesOf(result).length };
}

export const ratesOf = (rounds: readonly Measured[]): number[] => rounds.map(({ perSecond }) => perSecond);

/** The same ratio as that of the rates, but by the servers' CPU time. Empty where that is not known. */
export function byCpuTime(ours: readonly Measured[], theirs: readonly Measured[]): string {
  const [dividend, divisor] = [theirs, ours].map((rounds) => rounds.map(({ cpuMicroseconds }) => cpuMicroseconds));
  const ratio = ratios(dividend ?? [], divisor ?? []);
  return Number.isNaN(ratio.median) ? '' : `; by CPU time ${withSpread(ratio)}`;
}
