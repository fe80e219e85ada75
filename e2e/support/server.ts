import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { querySqlite } from './database.ts';
import { PROJECT } from './project.ts';

const OUTPUT_TIMEOUT_MS = 60_000;
/** Listening, or failed to start, in which case `node --watch` waits for a change instead of exiting. */
const LISTENING = /"port":(\d+)|^Failed running /m;

const STOP_TIMEOUT_MS = 20_000;

export interface ServerProcess extends AsyncDisposable {
  pid: number;
  /** The working directory, which contains `data/`. */
  folder: string;
  output(): string;
  /** Rejects if the process ends first, or on timeout. */
  outputWith(pattern: RegExp): Promise<RegExpExecArray>;
  signal(signal: NodeJS.Signals): void;
  exited: Promise<number | null>;
}

export interface RunningServer extends ServerProcess {
  url: string;
  port: number;
  /** Sends SIGTERM. @returns the exit code */
  stop(): Promise<number | null>;
  /** Of the database. @param sql with its values as `$1`, `$2` */
  query(sql: string, ...values: string[]): Promise<Record<string, unknown>[]>;
}

export interface Options {
  /** The whole environment: nothing is inherited. */
  settings?: Record<string, string>;
  /** Outlives the server, so that another can start on the same data. */
  folder?: string;
  /** A copy of the project, with its built client, to run instead. */
  project?: string;
}

/** Killed when this process ends, even in mid-test. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
process.once('SIGTERM', () => process.exit(1));

export const secrets = {
  JWT_ACCESS_SECRET: 'q3Vb7xYt0NfKz8Lr2WmPc5Hs9JdGu4Ea',
  JWT_REFRESH_SECRET: 'T6eRk1ZoXw9Bn4MvQy7Ca3Li8Up2FjDs',
};

const cheap = { BCRYPT_COST: '10' };

export type StartOne = typeof startOne;

function startOne({ settings, ...where }: Options): Promise<RunningServer> {
  const all = { PORT: '0', ...secrets, ...cheap, ...settings };
  return listening(run(manifest.scripts.start, all, where));
}

let start: (options: Options) => Promise<RunningServer> = startOne;

export const startProduct = (options: Options = {}): Promise<RunningServer> => start(options);

/** Makes `startProduct` start something else than one server on SQLite. @param other is given what starts one server */
export function startProductAs(other: (one: StartOne, options: Options) => Promise<RunningServer>): void {
  start = (options) => other(startOne, options);
}

export function startDevelopment({ settings, ...where }: Options = {}): Promise<RunningServer> {
  return listening(run(manifest.scripts.dev, { PORT: '0', ...cheap, ...settings }, where));
}

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
      // Not 127.0.0.1: over plain HTTP, browsers accept Secure cookies only from localhost.
      url: `http://localhost:${port}`,
      port: Number(port),
      stop() {
        server.signal('SIGTERM');
        return server.exited;
      },
      query: (sql, ...values) => querySqlite(server.folder, sql, ...values),
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
  // A separate folder, to ignore the `.env` and `data/` of a developer.
  const folder = given ?? (await temporaryFolder());
  const [, ...args] = command.split(' ').map((arg) => (arg.startsWith('src/') ? join(project, arg) : arg));
  const child = spawn(process.execPath, args, { cwd: folder, env: settings, stdio: ['ignore', 'pipe', 'pipe'] });

  let output = '';
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      for (const look of watchers) look();
    });

  running.add(child);
  // 'close', not 'exit', so that its children, which share the pipes, have ended too.
  const exited = once(child, 'close').then(([code]) => code as number | null);

  return {
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

export const temporaryFolder = () => mkdtemp(join(tmpdir(), 'latchkey-'));
