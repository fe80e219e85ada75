import { execFile } from 'node:child_process';
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { failureOf } from '../shared/failures.ts';
import { install, startProcess, type ServerProcess } from './testing/process.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs `npm run db:backup`. @returns its exit code and what it printed */
async function backUp(folder: string, args: string[] = [], env: Record<string, string> = {}) {
  const [, script = ''] = manifest.scripts['db:backup'].split(' ');
  const run = promisify(execFile)(process.execPath, [join(PROJECT, script), ...args], { cwd: folder, env });
  return await run.then(
    ({ stdout, stderr }) => ({ code: 0, printed: stdout + stderr }),
    ({ code, stdout, stderr }) => ({ code: Number(code), printed: `${String(stdout)}${String(stderr)}` }),
  );
}

const credentials = { email: 'ada@example.com', password: 'a good password for ada' };

async function call({ url }: ServerProcess, path: string, input?: object, cookie = '') {
  const answer = await fetch(`${url}/trpc/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie },
    ...(input === undefined ? {} : { body: JSON.stringify(input) }),
  });
  const body = (await answer.json()) as { error?: unknown };
  const set = answer.headers.getSetCookie().find((value) => value.startsWith('__Host-refreshToken='));
  return { status: answer.status, failure: failureOf(body.error), cookie: set?.split(';')[0] };
}

describe('db:backup', () => {
  it('backs up under a server, to be restored as docs/operations.md says', async () => {
    using installation = install();
    const { folder } = installation;
    const backup = join(folder, 'backup.db');
    let cookie: string | undefined;
    {
      await using server = await startProcess(installation);
      ({ cookie } = await call(server, 'auth.register', { username: 'ada', ...credentials }));
      expect(await backUp(folder, [backup])).toEqual({
        code: 0,
        printed: expect.stringMatching(/^Backed up .*latchkey\.db to .*backup\.db, [\d,]+ bytes, verified\.\n$/),
      });
      expect((await call(server, 'auth.logout', undefined, cookie)).status).toBe(200);
      expect((await call(server, 'auth.refresh', undefined, cookie)).status).toBe(401);
    }
    renameSync(backup, join(folder, 'data/latchkey.db'));
    for (const name of ['latchkey.db-wal', 'latchkey.db-shm']) rmSync(join(folder, 'data', name), { force: true });
    {
      // With the old secrets the session that has ended is alive again, which is why they have to be replaced.
      await using server = await startProcess(installation);
      expect((await call(server, 'auth.refresh', undefined, cookie)).status).toBe(200);
    }
    await using server = await startProcess(installation, {
      JWT_ACCESS_SECRET: 'Zp5Wc8Nq1Lr7Vx4Km0Bt6Hy3Gf9Ds2Ju',
      JWT_REFRESH_SECRET: 'Mh2Xv9Ty4Qb7Ln0Ck5Rw8Zs3Fj6Gd1Pe',
    });
    expect((await call(server, 'auth.refresh', undefined, cookie)).failure).toEqual({
      code: 'session_ended',
      reason: 'invalid',
    });
    expect((await call(server, 'auth.login', credentials)).status).toBe(200);
  });

  it('puts the backup beside the database unless told where', async () => {
    using installation = install();
    await using _server = await startProcess(installation);
    expect((await backUp(installation.folder)).code).toBe(0);
    expect(readdirSync(join(installation.folder, 'data'))).toContainEqual(
      expect.stringMatching(/^latchkey-\d{4}-\d\d-\d\dT\d{6}\.\d{3}Z\.db$/),
    );
  });

  it.each<[string, string[], Record<string, string>, string]>([
    ['PostgreSQL', [], { DATABASE_URL: 'postgres://a:secret@localhost/b' }, 'pg_dump'],
    ['a database that is not there', [], {}, 'There is no database at ./data/latchkey.db.'],
    ['two targets', ['a.db', 'b.db'], {}, 'Give one file'],
    ['an option that it does not have', ['--force'], {}, '--force'],
  ])('refuses %s with a sentence', async (_case, args, env, sentence) => {
    using installation = install();
    const { code, printed } = await backUp(installation.folder, args, env);
    expect([code, printed]).toEqual([1, expect.stringContaining(sentence)]);
    expect(printed).not.toContain('    at ');
    expect(printed).not.toContain('secret');
  });
});
