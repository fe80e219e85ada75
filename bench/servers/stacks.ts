import { fileURLToPath } from 'node:url';
import manifest from '../../package.json' with { type: 'json' };
import { secrets } from '../../e2e/support/server.ts';
import type { Call } from '../load/load.ts';
import { accessTokenOf, emailOf, PASSWORD, refreshTokenOf, type SeededSession } from '../population.ts';
import { startServer, type ServerProcess } from './process.ts';

export const PEOPLE = 1_000;

export interface Stack extends ServerProcess {
  reads: Call[];
  logins: Call[];
}

interface Where {
  core?: string | undefined;
}

const BARE = fileURLToPath(new URL('bare.ts', import.meta.url));
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const logins = (path: string, count: number): Call[] =>
  Array.from({ length: count }, (_, number) => ({ path, body: { email: emailOf(number), password: PASSWORD } }));

export async function startBare({ core }: Where = {}): Promise<Stack> {
  const server = await startServer([BARE], where(core));
  return { ...server, reads: [{ path: '/trpc/me' }], logins: [] };
}

export async function startTutorial({ core }: Where = {}): Promise<Stack> {
  const server = await startPeer('tutorial.js', core);
  const reads = tokensOf(server).map((token) => ({ path: '/api/me', headers: bearer(token) }));
  return checked({ ...server, reads, logins: logins('/api/auth/login', PEOPLE) });
}

export async function startBetterAuth({ core }: Where = {}): Promise<Stack> {
  const server = await startPeer('better-auth.js', core);
  const reads = tokensOf(server).map((token) => ({
    path: '/api/auth/get-session',
    headers: { cookie: `better-auth.session_token=${token}` },
  }));
  return checked({ ...server, reads, logins: logins('/api/auth/sign-in/email', PEOPLE) });
}

/** @param options.folder with the database; see `population` */
export async function startProduct({
  core,
  folder,
  sessions,
  settings = {},
  preload,
}: Where & {
  folder: string;
  sessions: SeededSession[];
  settings?: Record<string, string>;
  preload?: string;
}): Promise<Stack> {
  const [, ...args] = manifest.scripts.start.split(' ').map((arg) => arg.replace(/^src\//, file('../../src/')));
  const server = await startServer([...(preload === undefined ? [] : ['--import', preload]), ...args], {
    ...where(core),
    folder,
    settings: { PORT: '0', ...secrets, ...settings },
  });
  const readers = sessions.slice(0, PEOPLE);
  return checked(
    {
      ...server,
      reads: readers.map(readOf),
      logins: readers.map(loginOf),
    },
    readers[0]?.email,
  );
}

export const readOf = (session: SeededSession): Call => ({
  path: '/trpc/auth.me',
  headers: bearer(accessTokenOf(session)),
});

export const loginOf = ({ email }: SeededSession): Call => ({
  path: '/trpc/auth.login',
  body: { email, password: PASSWORD },
});

export const refreshOf = (session: SeededSession): Call => ({
  path: '/trpc/auth.refresh',
  body: {},
  headers: { cookie: `__Host-refreshToken=${refreshTokenOf(session)}` },
});

const where = (core: string | undefined) => (core === undefined ? {} : { core });
const startPeer = (name: string, core: string | undefined) =>
  startServer([file(`../peers/${name}`), PASSWORD, String(PEOPLE)], where(core));
const tokensOf = (server: ServerProcess) => server.ready['tokens'] as string[];

/** Better Auth also answers guests with 200, so the status does not prove that the token was accepted. */
async function checked(stack: Stack, email = emailOf(0)): Promise<Stack> {
  const [{ path, headers } = { path: '' }] = stack.reads;
  const answer = await fetch(`http://127.0.0.1:${stack.port}${path}`, { ...(headers && { headers }) });
  const text = await answer.text();
  if (text.includes(email)) return stack;
  await stack[Symbol.asyncDispose]();
  throw new Error(`${path} answered ${answer.status} without the user: ${text.slice(0, 200)}`);
}
