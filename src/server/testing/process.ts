import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A process that runs longer, nearly as long as a test may, hangs. It is killed, so that its test leaves nothing behind. */
const MAX_LIFETIME_MS = 110_000;

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

/** Secrets that pass validation. */
export const secrets = {
  JWT_ACCESS_SECRET: 'q3Vb7xYt0NfKz8Lr2WmPc5Hs9JdGu4Ea',
  JWT_REFRESH_SECRET: 'T6eRk1ZoXw9Bn4MvQy7Ca3Li8Up2FjDs',
};

/** A folder with links to the project and a built client of its own, so that tests need no build. `data/` is created there. */
export interface Installation extends Disposable {
  folder: string;
}

/**
 * @param client the contents of the built client's files, by path
 * @param prefix what the name of the folder begins with
 */
export function install(
  client: Record<string, string> = { 'index.html': '<!doctype html><title>page</title>' },
  prefix = 'latchkey-',
) {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  // Not node_modules as a whole: what the server compiles would be kept in the project's, under paths that soon are gone.
  const packages = readdirSync(join(PROJECT, 'node_modules')).filter((name) => name !== '.cache');
  mkdirSync(join(folder, 'node_modules'));
  for (const path of ['src', 'drizzle', 'package.json', ...packages.map((name) => `node_modules/${name}`)])
    symlinkSync(join(PROJECT, path), join(folder, path));
  for (const [path, text] of Object.entries(client)) {
    const file = join(folder, 'dist/client', path);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, text);
  }
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) } satisfies Installation;
}

export interface ServerProcess extends AsyncDisposable {
  /** Its origin; undefined if it exited without listening. */
  url: string | undefined;
  /** What it has written to stdout and stderr so far. */
  output(): string;
  signal(signal: NodeJS.Signals): void;
  /** Stops reading its stdout without closing it. */
  stopReading(): void;
  /** The exit code; null if a signal killed it. */
  exited: Promise<number | null>;
}

/** Starts the server as `npm start` does, on a free port, and waits until it listens or has exited. */
export async function startProcess(place: Installation, settings?: Record<string, string>): Promise<ServerProcess> {
  const { listening, ...server } = launchProcess(place, settings);
  return { ...server, url: await listening };
}

interface LaunchedProcess extends Omit<ServerProcess, 'url'> {
  /** Its origin; undefined if it exits without listening. */
  listening: Promise<string | undefined>;
}

/** Like `startProcess`, but waits for nothing. */
export function launchProcess({ folder }: Installation, settings: Record<string, string> = {}): LaunchedProcess {
  const child = spawn(
    process.execPath,
    // Otherwise Node would resolve the links, and serve the client built in the project.
    ['--preserve-symlinks', '--preserve-symlinks-main', join(folder, 'src/server/launch.js')],
    {
      cwd: folder,
      env: { PORT: '0', BCRYPT_COST: '10', ...secrets, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const kill = setTimeout(() => child.kill('SIGKILL'), MAX_LIFETIME_MS);
  const exited = once(child, 'close').then(([code]) => {
    clearTimeout(kill);
    return code as number | null;
  });
  let output = '';
  const port = new Promise<string | undefined>((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const found = /"port":(\d+)/.exec(output)?.[1];
        if (found !== undefined) resolve(found);
      });
    void exited.then(() => resolve(undefined));
  });
  return {
    listening: port.then((found) => found && `http://127.0.0.1:${found}`),
    output: () => output,
    signal: (signal) => void child.kill(signal),
    stopReading: () => void child.stdout.pause(),
    exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
