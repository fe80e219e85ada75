import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { cores } from '../servers/cores.ts';

export interface Call {
  path: string;
  headers?: Record<string, string>;
  body?: unknown;
}

export interface Load {
  port: number;
  /** Split between the connections, each of which repeats its share. */
  calls: Call[];
  connections: number;
  seconds: number;
  delaySeconds?: number;
  once?: boolean;
  /** Calls per second and connection; unlimited by default. */
  rate?: number;
  allowed?: number[];
}

export interface LoadResult {
  perSecond: number;
  /** By status, in the order of the responses. */
  latenciesMs: Record<number, number[]>;
  /** Share of its core that the generator used. Near 1, it may have limited the server. */
  generatorBusy: number;
}

const GENERATOR = fileURLToPath(new URL('generator.ts', import.meta.url));
const HTTP_OK = 200;

/** Reused, because load generators have to warm up too. */
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

export function closeGenerators(): void {
  for (const child of generators.values()) child.disconnect();
  generators.clear();
}

/** Runs loads concurrently, one `generate` at a time. @throws if any response has an unexpected status */
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
