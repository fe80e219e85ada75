import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

const canPin = availableParallelism() > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0;

/** Separate cores for server and load. Undefined on a single core, or without `taskset` (Linux only). */
export const cores = canPin ? { server: '0', load: String(availableParallelism() - 1) } : undefined;

/** @param core undefined for any */
export const nodeCommand = (args: string[], core: string | undefined): [file: string, args: string[]] =>
  core === undefined ? [process.execPath, args] : ['taskset', ['-c', core, process.execPath, ...args]];
