import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { PROJECT } from './project.ts';

/** How long anything may take to be written before the story fails, in milliseconds. */
const OUTPUT_TIMEOUT = 60_000;
/** That it listens, and where; or that it could not start: `node --watch` does not end then, it waits for a change. */
const LISTENING = /"port":(\d+)|^Failed running /m;

/** How long a server may take to stop before it is killed, and the story fails. In milliseconds. */
const STOP_TIMEOUT = 20_000;

export interface ServerProcess extends AsyncDisposable {
  pid: number;
  /** Its working folder: `data/` is in it. */
  folder: string;
  /** All that it has written so far, to both outputs. */
  output(): string;
  /** Resolves as soon as the output has the pattern; rejects if the process ends without, or takes too long. */
  outputWith(pattern: RegExp): Promise<RegExpExecArray>;
  signal(signal: NodeJS.Signals): void;
  /** The exit code; null where a signal ended it. */
  exited: Promise<number | null>;
}

export interface RunningServer extends ServerProcess {
  /** Its origin. */
  url: string;
  port: number;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

interface Options {
  /** Settings, as in the environment. Nothing else is inherited from ours. */
  settings?: Record<string, string>;
  /** A folder that outlives the server: to start it once more on the same data. */
  folder?: string;
  /** Where its sources are, and its built client: a copy of the project. */
  project?: string;
}

/** Should this process be ended in the middle of a story, they are not to outlive it. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
process.once('SIGTERM', () => process.exit(1));

/** Secrets such as an operator would draw. */
export const secrets = {
  JWT_ACCESS_SECRET: 'q3Vb7xYt0NfKz8Lr2WmPc5Hs9JdGu4Ea',
  JWT_REFRESH_SECRET: 'T6eRk1ZoXw9Bn4MvQy7Ca3Li8Up2FjDs',
};

/** The least that is allowed: the stories are not about the price of a hash. */
const cheap = { BCRYPT_COST: '10' };

/** The built product, as `npm start` runs it, on a free port and an empty database. */
export function startProduct({ settings, ...where }: Options = {}): Promise<RunningServer> {
  const all = { PORT: '0', ...secrets, ...cheap, ...settings };
  return listening(run(manifest.scripts.start, all, where));
}

/** As `npm run dev` runs it: from the sources, watching them, without any setting that a developer would have to make. */
export function startDevelopment({ settings, ...where }: Options = {}): Promise<RunningServer> {
  return listening(run(manifest.scripts.dev, { PORT: '0', ...cheap, ...settings }, where));
}

/** Another server, for the bench: any command that starts Node and tells its port. */
export function startOther(command: string): Promise<RunningServer> {
  return listening(run(command, {}, {}));
}

/** The built product where it is not expected to get as far as listening. */
export function runProduct(settings: Record<string, string>): Promise<ServerProcess> {
  return run(manifest.scripts.start, settings, {});
}

async function listening(started: Promise<ServerProcess>): Promise<RunningServer> {
  const server = await started;
  try {
    const [, port] = await server.outputWith(LISTENING);
    if (port === undefined) throw new Error(server.output());
    return {
      ...server,
      // Not 127.0.0.1: a browser takes a Secure cookie over plain HTTP from localhost only.
      url: `http://localhost:${port}`,
      port: Number(port),
      stop() {
        server.signal('SIGTERM');
        return server.exited;
      },
    };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** @param command a script of package.json that starts Node */
async function run(
  command: string,
  settings: Record<string, string>,
  { folder: given, project = PROJECT }: Omit<Options, 'settings'>,
): Promise<ServerProcess> {
  // A folder of its own keeps it from a developer's `.env` and `data/`.
  const folder = given ?? (await temporaryFolder());
  const [, ...args] = command.split(' ').map((arg) => (/^(src|bench)\//.test(arg) ? join(project, arg) : arg));
  const child = spawn(process.execPath, args, { cwd: folder, env: settings, stdio: ['ignore', 'pipe', 'pipe'] });

  let output = '';
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      for (const look of watchers) look();
    });

  running.add(child);
  // 'close', not 'exit': then its own children, which write to the same pipes, are gone as well.
  const exited = once(child, 'close').then(([code]) => code as number | null);

  return {
    // Undefined only where it could not be started, and then 'close' tells.
    pid: child.pid ?? 0,
    folder,
    output: () => output,
    outputWith(pattern) {
      const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
      const look = () => {
        const found = pattern.exec(output);
        if (found !== null) resolve(found);
      };
      const missing = (why: string) => reject(new Error(`${why} without ${String(pattern)} in:\n${output}`));
      const timer = setTimeout(() => missing('The time ran out'), OUTPUT_TIMEOUT);
      void exited.then((code) => missing(`It ended with ${code}`));
      watchers.add(look);
      look();
      return promise.finally(() => {
        clearTimeout(timer);
        watchers.delete(look);
      });
    },
    signal: (signal) => void child.kill(signal),
    exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT);
      const code = await exited;
      clearTimeout(kill);
      running.delete(child);
      if (given === undefined) await rm(folder, { recursive: true, force: true });
      if (code === null && child.signalCode === 'SIGKILL') throw new Error(`It had to be killed:\n${output}`);
    },
  };
}

/** An empty folder. Its maker removes it. */
export const temporaryFolder = () => mkdtemp(join(tmpdir(), 'latchkey-'));
