import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { PROJECT } from './project.ts';

/** How long expected output may take before the test fails. */
const OUTPUT_TIMEOUT_MS = 60_000;
/** The server listens on this port, or has failed to start: `node --watch` does not exit then but waits for a change. */
const LISTENING = /"port":(\d+)|^Failed running /m;

/** How long a server may take to stop before it is killed and the test fails. */
const STOP_TIMEOUT_MS = 20_000;

export interface ServerProcess extends AsyncDisposable {
  pid: number;
  /** Its working directory, which contains `data/`. */
  folder: string;
  /** Everything written to stdout and stderr so far. */
  output(): string;
  /** Resolves when the output matches the pattern; rejects if the process ends first, or on timeout. */
  outputWith(pattern: RegExp): Promise<RegExpExecArray>;
  signal(signal: NodeJS.Signals): void;
  /** The exit code, or null if a signal ended it. */
  exited: Promise<number | null>;
}

export interface RunningServer extends ServerProcess {
  /** Its origin. */
  url: string;
  port: number;
  /** Sends SIGTERM. @returns the exit code */
  stop(): Promise<number | null>;
}

interface Options {
  /** Environment variables. Nothing is inherited from this process. */
  settings?: Record<string, string>;
  /** A working directory that outlives the server, to start another one on the same data. */
  folder?: string;
  /** A copy of the project, with sources and built client, to run instead of this one. */
  project?: string;
}

/** Killed when this process ends, even in the middle of a test. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
process.once('SIGTERM', () => process.exit(1));

/** Strong secrets, as production requires them. */
export const secrets = {
  JWT_ACCESS_SECRET: 'q3Vb7xYt0NfKz8Lr2WmPc5Hs9JdGu4Ea',
  JWT_REFRESH_SECRET: 'T6eRk1ZoXw9Bn4MvQy7Ca3Li8Up2FjDs',
};

/** The lowest cost allowed: these tests are not about hashing. */
const cheap = { BCRYPT_COST: '10' };

/** Starts the built product as `npm start` does, on a free port with an empty database. */
export function startProduct({ settings, ...where }: Options = {}): Promise<RunningServer> {
  const all = { PORT: '0', ...secrets, ...cheap, ...settings };
  return listening(run(manifest.scripts.start, all, where));
}

/** Starts the product as `npm run dev` does: from sources, watching them, with no settings of a developer's own. */
export function startDevelopment({ settings, ...where }: Options = {}): Promise<RunningServer> {
  return listening(run(manifest.scripts.dev, { PORT: '0', ...cheap, ...settings }, where));
}

/** Starts any Node server that prints its port, for the bench. */
export function startOther(command: string): Promise<RunningServer> {
  return listening(run(command, {}, {}));
}

/** Runs the built product without waiting for it to listen. */
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
      // Not 127.0.0.1: over plain HTTP, a browser accepts a Secure cookie from localhost only.
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

/** @param command a Node command line from package.json */
async function run(
  command: string,
  settings: Record<string, string>,
  { folder: given, project = PROJECT }: Omit<Options, 'settings'>,
): Promise<ServerProcess> {
  // Its own folder, so that it does not read a developer's `.env` and `data/`.
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
  // 'close' rather than 'exit': its children, which share the pipes, have ended too.
  const exited = once(child, 'close').then(([code]) => code as number | null);

  return {
    // Undefined only if it could not be started, which `exited` reports.
    pid: child.pid ?? 0,
    folder,
    output: () => output,
    outputWith(pattern) {
      const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
      const look = () => {
        const found = pattern.exec(output);
        if (found !== null) resolve(found);
      };
      const missing = (why: string) => reject(new Error(`${why} before ${String(pattern)} appeared in:\n${output}`));
      const timer = setTimeout(() => missing('Timed out'), OUTPUT_TIMEOUT_MS);
      void exited.then((code) => missing(`The process ended with ${code}`));
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
      let isOverdue = false;
      const kill = setTimeout(() => (isOverdue = child.kill('SIGKILL')), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(kill);
      running.delete(child);
      if (given === undefined) await rm(folder, { recursive: true, force: true });
      if (isOverdue) throw new Error(`The server did not stop and was killed:\n${output}`);
    },
  };
}

/** Creates an empty folder, which the caller removes. */
export const temporaryFolder = () => mkdtemp(join(tmpdir(), 'latchkey-'));
