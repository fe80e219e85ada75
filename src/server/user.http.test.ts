import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, inject, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { createDatabase } from './testing/postgres.ts';
import { install } from './testing/process.ts';
import { openStream } from './testing/two-servers.ts';
import { testWorld } from './testing/world.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
/** Streams that look so rarely learn of changes only through notifications. */
const NEVER_LOOK_MS = 24 * 60 * 60_000;

type Script = 'user:role' | 'user:disable' | 'user:enable';

/** Runs a script of package.json. @returns its exit code and what it printed */
async function run(script: Script, args: string[], cwd: string, env: Record<string, string> = {}) {
  const [, ...written] = manifest.scripts[script].split(' ');
  const inProject = written.map((part) => (part.includes('src/') ? join(PROJECT, part) : part));
  return await promisify(execFile)(process.execPath, [...inProject, ...args], { cwd, env }).then(
    ({ stdout, stderr }) => ({ code: 0, printed: stdout + stderr }),
    ({ code, stdout, stderr }) => ({ code: Number(code), printed: `${String(stdout)}${String(stderr)}` }),
  );
}

describe.each(['SQLite', 'PostgreSQL'])('user:role, user:disable and user:enable on %s, under a server', (engine) => {
  async function place() {
    const installation = install();
    await using opened = new AsyncDisposableStack();
    opened.defer(() => installation[Symbol.dispose]());
    const { folder } = installation;
    const target = engine === 'SQLite' ? undefined : opened.use(await createDatabase(inject('postgresUrl')));
    const path = join(folder, 'app.db');
    const database = target ? { kind: 'postgres' as const, url: target.url } : { kind: 'sqlite' as const, path };
    const env = { DATABASE_URL: target ? target.url : `file:${path}` };
    // On SQLite nobody notifies a server of what another process does.
    const world = opened.use(await testWorld({ database }, target ? NEVER_LOOK_MS : 100));
    const kept = opened.move();
    return {
      world,
      call: (script: Script, ...args: string[]) => run(script, args, folder, env),
      [Symbol.asyncDispose]: () => kept.disposeAsync(),
    };
  }

  it('change somebody at once, and leave a record', async () => {
    await using there = await place();
    const { world, call } = there;
    const ada = world.client();
    const { user, accessToken, password } = await ada.register('ada');
    await world.client().register('grace');
    using stream = await openStream(world, accessToken);
    await stream.until('"role":"user"');
    expect(await call('user:role', 'Ada@example.com', 'admin')).toEqual({
      code: 0,
      printed: 'ada@example.com has the role admin.\n',
    });
    await stream.until('"role":"admin"');
    expect((await call('user:role', 'ada@example.com', 'admin')).printed).toContain('Nothing was changed');
    expect(await call('user:role', 'ada@example.com', 'user')).toMatchObject({
      code: 1,
      printed: expect.stringContaining('Nobody would be left'),
    });
    expect((await call('user:disable', 'ada@example.com')).code).toBe(1);
    await call('user:role', 'grace@example.com', 'admin');
    expect(await call('user:disable', 'ada@example.com')).toEqual({
      code: 0,
      printed: 'ada@example.com is disabled, and every session has ended.\n',
    });
    await stream.until('session_ended');
    expect((await ada.query('auth.me')).failure?.code).toBe('session_ended');
    expect((await call('user:enable', 'ada@example.com')).code).toBe(0);
    expect((await world.client().mutate('auth.login', { email: user.email, password })).status).toBe(200);
    const events = await world.sql(
      `select type, actor_id as actor, detail from audit_events where user_id = '${user.id}' and detail like '%script' order by id`,
    );
    expect(events).toEqual([
      { type: 'role_changed', actor: null, detail: 'user → admin, by a script' },
      { type: 'disabled', actor: null, detail: 'by a script' },
      { type: 'enabled', actor: null, detail: 'by a script' },
    ]);
  });

  it.each<[string, Script, string[], string]>([
    ['an unknown email', 'user:role', ['nobody@example.com', 'admin'], 'There is no account with the email nobody@'],
    ['an unknown role', 'user:role', ['ada@example.com', 'king'], 'There is no role king'],
    ['no role', 'user:role', ['ada@example.com'], 'The role is missing'],
    ['no email', 'user:disable', [], 'Usage: npm run user:disable -- EMAIL'],
    ['too much', 'user:enable', ['ada@example.com', 'admin'], 'Usage: npm run user:enable -- EMAIL'],
  ])('refuse %s with a sentence', async (_case, script, args, sentence) => {
    await using there = await place();
    const { code, printed } = await there.call(script, ...args);
    expect([code, printed]).toEqual([1, expect.stringContaining(sentence)]);
    expect(printed).not.toContain('    at ');
  });
});

describe.each(['SQLite', 'PostgreSQL'])('user:role on %s', (engine) => {
  it.each([
    ['where MAIL_URL is set', { MAIL_URL: 'smtp://localhost', MAIL_FROM: 'Latchkey <mail@example.com>' }, 1],
    ['not where it is not', {}, 0],
  ])('leaves a mail about the role to a server, %s', async (_case, settings: Record<string, string>, count) => {
    using installation = install();
    await using target = engine === 'SQLite' ? undefined : await createDatabase(inject('postgresUrl'));
    const path = join(installation.folder, 'app.db');
    const database = target ? { kind: 'postgres' as const, url: target.url } : { kind: 'sqlite' as const, path };
    // It sends no mail itself, so that what the script writes stays.
    await using world = await testWorld({ database, mail: undefined });
    const { user } = await world.client().register('ada');
    const env = { ...settings, DATABASE_URL: target ? target.url : `file:${path}` };
    expect((await run('user:role', [user.email, 'admin'], installation.folder, env)).code).toBe(0);
    const mails = await world.sql('select template, recipient, data from outbox');
    expect(mails).toHaveLength(count);
    for (const mail of mails) {
      expect(mail).toMatchObject({ template: 'role-changed', recipient: user.email });
      expect(JSON.stringify(mail['data'])).toContain('admin');
    }
  });
});

it('create no database where there is none', async () => {
  using installation = install();
  const { code, printed } = await run('user:disable', ['ada@example.com'], installation.folder);
  expect([code, printed]).toEqual([1, 'There is no database at ./data/latchkey.db.\n']);
});
