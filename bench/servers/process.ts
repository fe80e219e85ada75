import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { temporaryFolder } from '../../e2e/support/server.ts';
import { nodeCommand } from './cores.ts';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const TICKS_PER_SECOND = 100;

export interface ServerProcess extends AsyncDisposable {
  pid: number;
  port: number;
  ready: Record<string, unknown>;
  signal(signal: NodeJS.Signals): void;
  nextError(): Promise<string>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** Resolves once the server has printed the JSON line with its `port`. Its log is read and discarded. */
export async function startServer(
  args: string[],
  { core, folder, settings = {} }: { core?: string; folder?: string; settings?: Record<string, string> },
): Promise<ServerProcess> {
  const cwd = folder ?? (await temporaryFolder());
  const [file, all] = nodeCommand(args, core);
  // NODE_ENV is for Express and the peers; the product defaults to production.
  const env = { PATH: '/usr/bin:/bin', NODE_ENV: 'production', ...settings };
  const child = spawn(file, all, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const closed = once(child, 'close');
  const errors = createInterface(child.stderr);
  let complaints = '';
  errors.on('line', (line) => (complaints = `${complaints}${line}\n`.slice(-4_000)));

  async function stop() {
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await closed;
    clearTimeout(kill);
    running.delete(child);
    if (folder === undefined) await rm(cwd, { recursive: true, force: true });
  }

  try {
    const ready = await firstPort(child, closed);
    return {
      pid: child.pid ?? 0,
      port: Number(ready['port']),
      ready,
      signal: (signal) => void child.kill(signal),
      nextError: async () => String((await once(errors, 'line'))[0]),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw new Error(`${args.join(' ')} did not start:\n${complaints}`, { cause: error });
  }
}

async function firstPort(child: ChildProcess, closed: Promise<unknown>): Promise<Record<string, unknown>> {
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
  const timer = setTimeout(() => reject(new Error('Timed out')), START_TIMEOUT_MS);
  void closed.then(() => reject(new Error('It exited')));
  let text = '';
  const look = (chunk: string) => {
    text += chunk;
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines.filter((line) => line.includes('"port":')))
      resolve(JSON.parse(line) as Record<string, unknown>);
  };
  child.stdout?.setEncoding('utf8').on('data', look);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    child.stdout?.off('data', look).resume();
  }
}

export async function residentMegabytes({ pid }: ServerProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** Seconds of CPU time used so far by all threads; NaN without /proc (Linux only). */
export async function cpuSeconds({ pid }: Pick<ServerProcess, 'pid'>): Promise<number> {
  // proc_pid_stat(5): utime and stime are fields 14 and 15; the parenthesized second field may contain spaces.
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')).replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
