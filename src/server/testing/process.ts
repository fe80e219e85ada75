import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** No story here takes as long: it hangs, and is killed, so that its test fails and leaves nothing behind. In milliseconds. */
const LONGEST_LIFE = 60_000;

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

/** Secrets such as an operator would draw. */
export const secrets = {
  JWT_ACCESS_SECRET: 'q3Vb7xYt0NfKz8Lr2WmPc5Hs9JdGu4Ea',
  JWT_REFRESH_SECRET: 'T6eRk1ZoXw9Bn4MvQy7Ca3Li8Up2FjDs',
};

/** A copy of the project by links, with a client of its own, so that nothing need have been built. `data/` is made in it. */
export interface Installation extends Disposable {
  folder: string;
}

/** @param client the files of the built client, by path */
export function install(client: Record<string, string> = { 'index.html': '<!doctype html><title>page</title>' }) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-'));
  for (const name of ['src', 'drizzle', 'node_modules', 'package.json'])
    symlinkSync(join(PROJECT, name), join(folder, name));
  for (const [path, text] of Object.entries(client)) {
    const file = join(folder, 'dist/client', path);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, text);
  }
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) } satisfies Installation;
}

export interface ServerProcess extends AsyncDisposable {
  /** Its origin; undefined where it ended without listening. */
  url: string | undefined;
  /** All that it has written so far, to both outputs. */
  output(): string;
  signal(signal: NodeJS.Signals): void;
  /** From now on nobody reads what it writes, and nobody hangs up. */
  stopReading(): void;
  /** The exit code; null where a signal ended it. */
  exited: Promise<number | null>;
}

/** Starts the server as `npm start` does, on a free port, and waits until it listens or has ended. */
export async function startProcess(
  { folder }: Installation,
  settings: Record<string, string> = {},
): Promise<ServerProcess> {
  const child = spawn(
    process.execPath,
    // Or the links would lead back to the project, and to the client that was built there.
    [
      '--preserve-symlinks',
      '--preserve-symlinks-main',
      '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
      join(folder, 'src/server/main.ts'),
    ],
    {
      cwd: folder,
      env: { PORT: '0', BCRYPT_COST: '10', ...secrets, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const kill = setTimeout(() => child.kill('SIGKILL'), LONGEST_LIFE);
  const exited = once(child, 'close').then(([code]) => {
    clearTimeout(kill);
    return code as number | null;
  });
  let output = '';
  const port = await new Promise<string | undefined>((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const found = /"port":(\d+)/.exec(output)?.[1];
        if (found !== undefined) resolve(found);
      });
    void exited.then(() => resolve(undefined));
  });
  return {
    url: port && `http://127.0.0.1:${port}`,
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
