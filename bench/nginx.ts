// Kills servers behind nginx, configured by deploy/nginx.conf, and counts what their users notice.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort, startPostgres } from '../src/server/testing/postgres.ts';
import { population, refreshTokenOf, type SeededSession } from './population.ts';
import { startProduct } from './servers/stacks.ts';

const PEOPLE = 64;
const PHASE_MS = 4_000;
const CONFIGURATION = new URL('../deploy/nginx.conf', import.meta.url);

/** Debian has nginx where only root looks. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
if (spawnSync('nginx', ['-v'], { env: { PATH } }).status !== 0) {
  process.stderr.write(
    'This needs nginx, such as from `apt-get install nginx`. It starts its own: none has to be running.\n',
  );
  process.exit(1);
}

type Outcome = 'answered' | 'refused' | 'lost';
const KINDS = ['auth.refresh', 'auth.me'] as const;
type Kind = (typeof KINDS)[number];
const newCounts = () => ({ 'auth.me': newCount(), 'auth.refresh': newCount() });
const newCount = (): Record<Outcome, number> => ({ answered: 0, refused: 0, lost: 0 });

interface Answer {
  status: number;
  cookie: string | undefined;
  accessToken: string | undefined;
}

const agent = new Agent({ keepAlive: true });

/** Rejects where the connection breaks before there is an answer. */
async function call(port: number, kind: Kind, headers: Record<string, string>): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const method = kind === 'auth.refresh' ? 'POST' : 'GET';
  const sent = request(
    { port, path: `/trpc/${kind}`, method, agent, headers: { ...headers, 'content-type': 'application/json' } },
    (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('error', reject).on('end', () => {
        const [, accessToken] = /"accessToken":"([^"]+)"/.exec(text) ?? [];
        const cookie = /__Host-refreshToken=[^;]+/.exec(response.headers['set-cookie']?.join() ?? '')?.[0];
        resolve({ status: response.statusCode ?? 0, cookie, accessToken });
      });
    },
  );
  sent.on('error', reject).end(method === 'POST' ? '{}' : undefined);
  return promise;
}

/** Somebody who reads and refreshes without pause, and whose client repeats nothing. */
function person(port: number, session: SeededSession) {
  let cookie = `__Host-refreshToken=${refreshTokenOf(session)}`;
  let accessToken = '';
  async function step(kind: Kind): Promise<Outcome | 'signed out'> {
    try {
      const headers: Record<string, string> =
        kind === 'auth.me' ? { authorization: `Bearer ${accessToken}` } : { cookie };
      const answer = await call(port, kind, headers);
      if (answer.status === 401) return 'signed out';
      if (answer.status !== 200) return 'refused';
      cookie = answer.cookie ?? cookie;
      accessToken = answer.accessToken ?? accessToken;
      return 'answered';
    } catch {
      return 'lost';
    }
  }
  return { step };
}

await using opened = new AsyncDisposableStack();
const database = opened.use(await startPostgres());
const people = opened.use(await population(PEOPLE, 'x', { postgres: database.url }));
const ports = [await freePort(), await freePort()] as const;
const start = (port: number) =>
  startProduct({ ...people, settings: { ...people.settings, PORT: String(port), TRUST_PROXY: '1' } });
const servers = [opened.use(await start(ports[0])), opened.use(await start(ports[1]))] as const;
const port = await startNginx();
const clients = people.sessions.map((session) => person(port, session));
for (const { step } of clients)
  if ((await step('auth.refresh')) !== 'answered') throw new Error('A first refresh failed.');

let phase = 'both servers run';
const counts: Record<string, ReturnType<typeof newCounts>> = {};
let signedOut = 0;
const stopping = new AbortController();
const load = clients.map(async ({ step }) => {
  for (let number = 0; !stopping.signal.aborted; number++) {
    const kind = number % 4 === 0 ? 'auth.refresh' : 'auth.me';
    const outcome = await step(kind);
    if (outcome === 'signed out') signedOut++;
    else (counts[phase] ??= newCounts())[kind][outcome]++;
  }
});
await pause(PHASE_MS);
phase = 'one is killed (SIGKILL)';
servers[0].signal('SIGKILL');
await pause(PHASE_MS);
phase = 'it is started again';
opened.use(await start(ports[0]));
await pause(PHASE_MS);
phase = 'the other is stopped (SIGTERM)';
servers[1].signal('SIGTERM');
await pause(PHASE_MS);
stopping.abort();
await Promise.all(load);
for (const { step } of clients) for (const kind of KINDS) if ((await step(kind)) !== 'answered') signedOut++;

const lines = Object.entries(counts).flatMap(([name, byKind]) =>
  KINDS.map((kind) => {
    const { answered, refused, lost } = byKind[kind];
    return `| ${name} | ${kind} | ${answered} | ${refused} | ${lost} |`;
  }),
);
process.stdout.write(
  `| while | procedure | answered | 502 to 504 | no answer |\n| --- | --- | --- | --- | --- |\n${lines.join('\n')}\n\nSessions ended without a cause: ${signedOut} of ${PEOPLE}.\n`,
);
agent.destroy();
if (signedOut > 0) process.exitCode = 1;

/** Starts nginx with what compose.yaml gives it; only names and ports differ. @returns its port */
async function startNginx(): Promise<number> {
  const listening = await freePort();
  let text = await readFile(CONFIGURATION, 'utf8');
  for (const [from, to] of [
    ['server-1:3000', `127.0.0.1:${ports[0]}`],
    ['server-2:3000', `127.0.0.1:${ports[1]}`],
    ['listen 8080;', `listen 127.0.0.1:${listening};`],
  ] as const) {
    if (text.split(from).length !== 2) throw new Error(`deploy/nginx.conf no longer has ${from} once.`);
    text = text.replace(from, to);
  }
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`);
  const file = join(people.folder, 'nginx.conf');
  await writeFile(
    file,
    `daemon off; pid nginx.pid; error_log nginx.log; worker_processes 1; events {} http { access_log off; ${temporary.join(' ')}\n${text}}\n`,
  );
  const nginx = spawn('nginx', ['-p', people.folder, '-c', file], { stdio: 'inherit', env: { PATH } });
  const exited = once(nginx, 'exit');
  opened.defer(async () => {
    nginx.kill('SIGTERM');
    await exited;
  });
  for (;;) {
    const status = await call(listening, 'auth.me', {}).then(
      (answer) => answer.status,
      () => 0,
    );
    if (status !== 0) return listening;
    if (nginx.exitCode !== null) throw new Error('nginx did not start.');
    await pause(50);
  }
}
