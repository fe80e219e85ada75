import { fork } from 'node:child_process';
import { once } from 'node:events';
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

/**
 * Puts loads on servers, all at the same time, from a process of their own.
 * @param options.pinned whether the generator keeps to its core, as the server does to its own
 * @throws if any answer has an unexpected status
 */
export async function generate<const Loads extends readonly Load[]>(
  loads: Loads,
  { pinned = true }: { pinned?: boolean } = {},
): Promise<{ [Index in keyof Loads]: LoadResult }> {
  const core = pinned ? cores?.load : undefined;
  const child = fork(GENERATOR, {
    ...(core !== undefined && { execPath: 'taskset', execArgv: ['-c', core, process.execPath] }),
    serialization: 'advanced',
  });
  const exited = once(child, 'exit').then(([code]) => {
    throw new Error(`The load generator exited with ${String(code)}.`);
  });
  child.send(loads);
  const [results] = (await Promise.race([once(child, 'message'), exited])) as [{ [Index in keyof Loads]: LoadResult }];
  child.kill();
  await exited.catch(() => {});
  for (const [index, { latenciesMs }] of (results as readonly LoadResult[]).entries())
    for (const status of Object.keys(latenciesMs).map(Number))
      if (status !== HTTP_OK && !loads[index]?.allowed?.includes(status))
        throw new Error(
          `${latenciesMs[status]?.length} answers of ${loads[index]?.calls[0]?.path} had status ${status}.`,
        );
  return results;
}

export const latenciesOf = ({ latenciesMs }: LoadResult): number[] => latenciesMs[HTTP_OK] ?? [];
