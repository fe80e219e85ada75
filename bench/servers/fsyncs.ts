import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import type { ServerProcess } from './process.ts';

const LOOK_INTERVAL_MS = 50;

export type Fsyncs = { kind: 'counted'; count: number } | { kind: 'unavailable'; why: string };

export async function countFsyncs({ pid }: ServerProcess, run: () => Promise<void>): Promise<Fsyncs> {
  const tracer = spawn('strace', ['-f', '-qq', '-e', 'trace=fsync,fdatasync', '-e', 'signal=none', '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const missing = once(tracer, 'error').then(() => 'strace is not installed');
  const closed = once(tracer, 'close').then(() => 'strace may not attach to a process here');
  let count = 0;
  createInterface(tracer.stderr).on('line', (line) => {
    // An interrupted call prints a second line, `<... fsync resumed>`.
    if (/\bf(data)?sync\(/.test(line)) count++;
  });
  const why = await Promise.race([missing, closed, attached(pid)]);
  if (why !== undefined) return { kind: 'unavailable', why };
  await run();
  tracer.kill('SIGINT');
  await closed;
  return { kind: 'counted', count };
}

/** Resolves once the process is traced, which strace reports only to a terminal. */
async function attached(pid: number): Promise<undefined> {
  for (;;) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'TracerPid:\t1');
    if (!/TracerPid:\s+0$/m.test(status)) return undefined;
    await setTimeout(LOOK_INTERVAL_MS);
  }
}
