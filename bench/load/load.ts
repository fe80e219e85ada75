import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { cores } from '../servers/cores.ts';

/** A request: a POST if it has a body. */
export interface Call {
  path: string;
  headers?: Record<string, string>;
  body?: unknown;
}

export interface Load {
  port: number;
  /** Shared out among the connections. Each connection repeats its share. */
  calls: Call[];
  connections: number;
  seconds: number;
  /** Seconds to wait before it begins. */
  delaySeconds?: number;
  /** Ends after the last call, instead of repeating them. */
  once?: boolean;
  /** Calls per second and connection; as fast as they are answered by default. */
  rate?: number;
  /** Statuses other than 200 that are not errors. */
  allowed?: number[];
}

export interface LoadResult {
  /** Answers with status 200 per second. */
  perSecond: number;
  /** By status, in the order of the answers, in milliseconds. */
  latenciesMs: Record<number, number[]>;
  /** Share of its core that the load generator used: near 1, it may have been slower than the server. */
  generatorBusy: number;
}

const GENERATOR = fileURLToPath(new URL('generator.ts', import.meta.url));
const HTTP_OK = 200;

/** Kept for the next load, as a load generator too has to warm up. */
const generators = new Map<string | undefined, ChildProcess>();

function generatorOn(core: string | undefined): ChildProcess {
  const known = generators.get(core);
  if (known !== undefined) return known;
  const child = fork(GENERATOR, {
    ...(core !== undefined && { execPath: 'taskset', execArgv: ['-c', core, process.execPath] }),
    serialization: 'advanced',
  });
  generators.set(core, child);
  child.once('exit', () => generators.delete(core));
  return child;
}

/** Ends the load generators, without which this process would not end either. */
export function closeGenerators(): void {
  for (const child of generators.values()) child.disconnect();
  generators.clear();
}

/**
 * Puts loads on servers, all at the same time, from a process of their own. One call at a time.
 * @param options.pinned whether the generator keeps to its core, as the server does to its own
 * @throws if any answer has an unexpected status
 */
export async function generate<const Loads extends readonly Load[]>(
  loads: Loads,
  { pinned = true }: { pinned?: boolean } = {},
): Promise<{ [Index in keyof Loads]: LoadResult }> {
  const child = generatorOn(pinned ? cores?.load : undefined);
  const { promise, resolve, reject } = Promise.withResolvers<LoadResult[]>();
  const failed = () => reject(new Error('The load generator exited.'));
  child.once('message', resolve).once('exit', failed);
  child.send(loads);
  const results = await promise;
  child.off('exit', failed);
  for (const [index, { latenciesMs }] of results.entries())
    for (const status of Object.keys(latenciesMs).map(Number))
      if (status !== HTTP_OK && !loads[index]?.allowed?.includes(status))
        throw new Error(
          `${latenciesMs[status]?.length} answers of ${loads[index]?.calls[0]?.path} had status ${status}.`,
        );
  return results as { [Index in keyof Loads]: LoadResult };
}

export const latenciesOf = ({ latenciesMs }: LoadResult): number[] => latenciesMs[HTTP_OK] ?? [];
