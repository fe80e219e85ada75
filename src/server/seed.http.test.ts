import Database from 'better-sqlite3';
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { install, secrets, type Installation } from './testing/process.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs `npm run db:seed`. @returns its exit code and what it printed to each stream */
async function seed({ folder }: Installation) {
  const [, ...written] = manifest.scripts['db:seed'].split(' ');
  const args = written.map((part) => (part.includes('src/') ? join(PROJECT, part) : part));
  return await promisify(execFile)(process.execPath, args, { cwd: folder, env: { BCRYPT_COST: '10' } }).then(
    ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
    ({ code, stdout, stderr }) => ({ code: Number(code), stdout: String(stdout), stderr: String(stderr) }),
  );
}

const seeded = (stdout: string) => stdout.split('\n').filter((line) => line.includes('@example.com'));

describe('db:seed', () => {
  it('adds a few people, the first an admin, and says what it found the next time', async () => {
    using place = install();
    const password = 'correct horse battery staple';
    expect(seeded((await seed(place)).stdout)).toEqual([
      `ada@example.com  ${password}  (created, an admin)`,
      `grace@example.com  ${password}  (created)`,
      `linus@example.com  ${password}  (created)`,
    ]);
    const database = new Database(join(place.folder, 'data/latchkey.db'));
    database.exec(`update users set role = 'user'; delete from users where username = 'linus'`);
    database.close();
    // Regression: she was said to be an admin.
    expect(seeded((await seed(place)).stdout)).toEqual([
      `ada@example.com  ${password}  (username_taken)`,
      `grace@example.com  ${password}  (username_taken)`,
      `linus@example.com  ${password}  (created)`,
    ]);
  });

  it('refuses the database of production, which .env may name', async () => {
    using place = install();
    const env = { ...secrets, DATABASE_URL: 'file:production.db' };
    writeFileSync(
      join(place.folder, '.env'),
      Object.entries(env)
        .map((pair) => `${pair.join('=')}\n`)
        .join(''),
    );
    expect(await seed(place)).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^db:seed is for [^\n]+\n$/),
    });
    expect(existsSync(join(place.folder, 'production.db'))).toBe(false);
  });
});
