import { getTableName, is } from 'drizzle-orm';
import { SQLiteTable } from 'drizzle-orm/sqlite-core';
import { describe, expect, it } from 'vitest';
import { roles, type Role } from '../shared/auth.ts';
import { LIMITS } from './auth/limits/throttle.ts';
import { appRouter } from './router.ts';
import { testWorld, type TestClient, type World } from './testing/world.ts';

type Roles = Role | `${Role} or ${Role}`;
type Class = 'public' | 'protected' | 'sudo' | Roles | `${Roles} and sudo`;

/** Who may call what. A new procedure needs a line; think twice before making it public. */
const CLASSES: Record<string, Class> = {
  'auth.register': 'public',
  'auth.login': 'public',
  'auth.refresh': 'public',
  'auth.logout': 'public',
  'auth.me': 'protected',
  'auth.sessionEvents': 'protected',
  'auth.reauthenticate': 'protected',
  'account.sessions': 'protected',
  'account.endSession': 'protected',
  'account.endOtherSessions': 'protected',
  'account.changeUsername': 'protected',
  'account.changePassword': 'sudo',
  'account.export': 'sudo',
  'account.delete': 'sudo',
  'emailVerification.send': 'protected',
  'emailVerification.confirm': 'public',
  'emailChange.request': 'sudo',
  'emailChange.confirm': 'public',
  'passwordReset.request': 'public',
  'passwordReset.complete': 'public',
  'admin.people': 'admin',
  'admin.person': 'admin',
  'admin.audit': 'admin',
  'admin.endSessions': 'admin and sudo',
  'admin.setRole': 'admin and sudo',
  'admin.setDisabled': 'admin and sudo',
  'admin.sendPasswordReset': 'admin and sudo',
};

const procedures = new Map(
  Object.entries(appRouter._def.procedures as unknown as Record<string, { _def: { type: string } }>).map(
    ([path, { _def }]) => [path, _def.type],
  ),
);
const sudoProcedures = Object.keys(CLASSES).filter((path) => CLASSES[path]?.endsWith('sudo'));

/** So that a thief's calls are refused for the lack of a proof, and not for their input. */
const INPUTS: Record<string, unknown> = {
  'account.changePassword': { password: 'weaves algebraic patterns' },
  'account.delete': { username: 'ada' },
  'emailChange.request': { email: 'thief@example.com' },
  'admin.endSessions': { id: 'somebody' },
  'admin.setRole': { id: 'somebody', role: 'admin' },
  'admin.setDisabled': { id: 'somebody', disabled: true },
  'admin.sendPasswordReset': { id: 'somebody' },
};

/** Longer than a proof of identity lasts, and shorter than an access token does. */
const OLD_MS = 11 * 60_000;

/** Calls a procedure as a client would. @returns the answer; of a stream, what it starts with */
async function call({ url }: World, path: string, accessToken: string | undefined): Promise<string> {
  const isMutation = procedures.get(path) === 'mutation';
  const input = JSON.stringify(INPUTS[path] ?? {});
  const aborting = new AbortController();
  const response = await fetch(`${url}/trpc/${path}${isMutation ? '' : `?input=${encodeURIComponent(input)}`}`, {
    method: isMutation ? 'POST' : 'GET',
    headers: {
      'content-type': 'application/json',
      ...(accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` }),
    },
    ...(isMutation ? { body: input } : {}),
    signal: aborting.signal,
  });
  if (response.headers.get('content-type') !== 'text/event-stream') return response.text();
  let text = '';
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let done = false; !done && !/"failure"|"user"/.test(text);) {
    const read = await reader.read();
    done = read.done;
    text += read.value ?? '';
  }
  aborting.abort();
  return text;
}

/**
 * What guards a procedure, found by calling it without a token, with one of each role, and with one whose proof of identity is
 * old. Roles are listed in the order of `roles`, and only where some are refused.
 */
async function observedClass(path: string): Promise<string> {
  await using world = await testWorld();
  const person = async (username: string, role: Role) => {
    const client = world.client();
    const { accessToken, user } = await client.register(username);
    await world.sql(`update users set role = '${role}' where id = '${user.id}'`);
    return accessToken;
  };
  const isForbidden = async (accessToken: string | undefined) =>
    (await call(world, path, accessToken)).includes('"forbidden"');
  if (!(await call(world, path, undefined)).includes('access_token_missing')) return 'public';
  const admitted: Role[] = [];
  for (const role of roles) if (!(await isForbidden(await person(role, role)))) admitted.push(role);
  const [someRole] = admitted;
  if (someRole === undefined) return 'nobody';
  const accessToken = await person('idle', someRole);
  world.clock.advance(OLD_MS);
  const needsSudo = (await call(world, path, accessToken)).includes('reauthentication_required');
  const guards = [...(admitted.length < roles.length ? [admitted.join(' or ')] : []), ...(needsSudo ? ['sudo'] : [])];
  return guards.length > 0 ? guards.join(' and ') : 'protected';
}

describe('the procedures', () => {
  it('are all on the list', () => {
    expect([...procedures.keys()].toSorted()).toEqual(Object.keys(CLASSES).toSorted());
  });

  it.each(Object.entries(CLASSES))('%s is %s', async (path, expected) => {
    expect(await observedClass(path)).toBe(expected);
  });

  it.each(['a.b.c', ''])('refuse the token %j, unless they are public', async (token) => {
    await using world = await testWorld();
    for (const path of procedures.keys()) {
      const answer = await call(world, path, token);
      expect([path, answer.includes('access_token_invalid')]).toEqual([path, CLASSES[path] !== 'public']);
    }
  });
});

const tables = Object.values(
  import.meta.glob<Record<string, unknown>>('./**/tables.sqlite.ts', { eager: true }),
).flatMap((module) => Object.values(module).flatMap((value) => (is(value, SQLiteTable) ? getTableName(value) : [])));

/** Every row of every table. */
async function contents({ sql, outbox }: World): Promise<string> {
  await outbox.settled();
  const rows = [];
  for (const table of tables) rows.push([table, await sql(`select * from ${table} order by 1`)]);
  return JSON.stringify(rows);
}

describe('a person without a role of their own', () => {
  const forRoles = Object.keys(CLASSES).filter(
    (path) => !['public', 'protected', 'sudo'].includes(CLASSES[path] ?? ''),
  );

  it.each(forRoles)('cannot call %s, which changes nothing', async (path) => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register('ada');
    // It confirms the session.
    await call(world, 'auth.me', accessToken);
    const before = await contents(world);
    expect(await call(world, path, accessToken)).toContain('"forbidden"');
    expect(await contents(world)).toBe(before);
  });
});

describe('a thief with a live session but no password', () => {
  const password = 'a good password for ada';

  /** The owner, an admin, who has just logged in; and the thief, with a copy of an older session of theirs. */
  async function theft(world: World): Promise<{ owner: TestClient; thief: TestClient }> {
    const victim = world.client();
    const { user } = await victim.register('ada');
    await world.sql(`update users set role = 'admin' where id = '${user.id}'`);
    await victim.query('auth.me');
    world.clock.advance(OLD_MS);
    const owner = world.client();
    await owner.mutate('auth.login', { email: 'ada@example.com', password });
    await owner.query('auth.me');
    const thief = Object.assign(world.client(), { accessToken: victim.accessToken, cookie: victim.cookie });
    return { owner, thief };
  }

  const refused = { status: 403, failure: { code: 'reauthentication_required' } };
  const attempt = (client: TestClient, path: string) =>
    procedures.get(path) === 'mutation' ? client.mutate(path, INPUTS[path] ?? {}) : client.query(path);

  it.each(sudoProcedures)('cannot call %s, which changes nothing', async (path) => {
    await using world = await testWorld();
    const { thief } = await theft(world);
    const before = await contents(world);
    expect(await attempt(thief, path)).toMatchObject(refused);
    expect(await contents(world)).toBe(before);
  });

  it('gains nothing from a batch, a refresh, or the owner who proves their identity in another session', async () => {
    await using world = await testWorld();
    const { owner, thief } = await theft(world);
    expect((await owner.mutate('auth.reauthenticate', { password })).status).toBe(200);
    expect((await thief.mutate('auth.refresh')).status).toBe(200);
    await thief.query('auth.me');
    const before = await contents(world);
    for (const path of sudoProcedures) expect(await attempt(thief, path)).toMatchObject(refused);
    const mutations = sudoProcedures.filter((path) => procedures.get(path) === 'mutation');
    const batch = await thief.mutate(
      `${mutations.join(',')}?batch=1`,
      Object.fromEntries(mutations.map((path, index) => [index, INPUTS[path] ?? {}])),
    );
    expect(JSON.stringify(batch.body).match(/"code":"reauthentication_required"/g)).toHaveLength(mutations.length);
    expect(await contents(world)).toBe(before);
    expect((await owner.query('account.export')).status).toBe(200);
  });

  it('can guess the password no more often than at the login', async () => {
    await using world = await testWorld();
    const { thief } = await theft(world);
    const free = LIMITS.loginByAccount.points;
    // Half of them at the login: both draw on one budget.
    for (let guesses = 0; guesses < free / 2; guesses += 1) {
      const guess = { password: `guess ${guesses}` };
      expect((await thief.mutate('auth.reauthenticate', guess)).failure).toEqual({ code: 'invalid_credentials' });
      const login = await world.client().mutate('auth.login', { ...guess, email: 'ada@example.com' });
      expect(login.failure).toEqual({ code: 'invalid_credentials' });
    }
    // The next one is allowed, and starts the waiting; the one after it is refused, right or wrong.
    await thief.mutate('auth.reauthenticate', { password: 'one more guess' });
    const right = await thief.mutate('auth.reauthenticate', { password });
    expect(right.failure).toEqual({ code: 'rate_limited', retryAfter: expect.any(Number) });
    for (const path of sudoProcedures) expect(await attempt(thief, path)).toMatchObject(refused);
    expect((await world.sql("select id from audit_events where type = 'reauthentication_failed'")).length).toBe(
      free / 2 + 1,
    );
  });

  it('can be shut out by the owner, who needs nothing but the password', async () => {
    await using world = await testWorld();
    const { owner, thief } = await theft(world);
    expect((await owner.mutate('account.changePassword', INPUTS['account.changePassword'])).status).toBe(200);
    expect((await thief.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
    expect((await thief.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
    expect((await owner.query('auth.me')).status).toBe(200);
  });
});
