import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

const canPin = availableParallelism() > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0;

/**
 * The cores that the server and the load have to themselves, so that neither takes the other's time. Undefined where there
 * is one core only, or no `taskset` (which is Linux's).
 */
export const cores = canPin ? { server: '0', load: String(availableParallelism() - 1) } : undefined;

/** A command line for Node. @param core undefined for any */
export const nodeCommand = (args: string[], core: string | undefined): [file: string, args: string[]] =>
  core === undefined ? [process.execPath, args] : ['taskset', ['-c', core, process.execPath, ...args]];
