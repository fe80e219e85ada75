import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { createAccount } from './support/api.ts';
import { ada } from './support/people.ts';
import { runProduct, secrets, startProduct } from './support/server.ts';

describe('the server process', () => {
  it('completes a login in flight after SIGTERM, accepts no new connections, and exits with 0', async () => {
    // A slow hash, so that the login is still running when the signal arrives.
    await using server = await startProduct({ settings: { BCRYPT_COST: '13' } });
    await createAccount(server, ada);

    const login = request(`${server.url}/trpc/auth.login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', expect: '100-continue' },
    });
    const answered = once(login, 'response');
    login.flushHeaders();
    // The server has received the request.
    await once(login, 'continue');
    login.end(JSON.stringify({ email: ada.email, password: ada.password }));
    server.signal('SIGTERM');
    await server.outputWith(/Stopping/);

    const [response] = await answered;
    expect(response.statusCode).toBe(200);
    expect(await text(response)).toContain('accessToken');
    expect(await server.exited).toBe(0);
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow('fetch failed');
  });

  it('reports itself alive and ready once it listens', async () => {
    await using server = await startProduct();
    for (const path of ['/healthz', '/readyz']) {
      const answer = await fetch(server.url + path);
      expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok' }]);
    }
  });

  it('exits with a message when its port is taken, and leaves the other server alone', async () => {
    await using first = await startProduct();
    await using second = await runProduct({ ...secrets, PORT: String(first.port) });
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain(`Port ${first.port} is taken.`);
    expect(second.output()).not.toContain('    at ');
    expect((await fetch(`${first.url}/readyz`)).status).toBe(200);
  });

  const strong = secrets.JWT_ACCESS_SECRET;

  it.each<[string, Record<string, string>, string[]]>([
    ['missing secrets', {}, ['JWT_ACCESS_SECRET', 'JWT_REFRESH_SECRET']],
    ['a weak secret', { ...secrets, JWT_ACCESS_SECRET: 'hunter2-hunter2' }, ['JWT_ACCESS_SECRET']],
    ['one secret for both tokens', { ...secrets, JWT_REFRESH_SECRET: strong }, ['JWT_REFRESH_SECRET']],
    [
      'durations without a unit or under a second',
      { ...secrets, ACCESS_TOKEN_EXPIRY: '900', REFRESH_TOKEN_EXPIRY: '0s' },
      ['ACCESS_TOKEN_EXPIRY', 'REFRESH_TOKEN_EXPIRY'],
    ],
    ['a wildcard as CLIENT_URL', { ...secrets, CLIENT_URL: '*' }, ['CLIENT_URL']],
    ['a bcrypt cost that is too low', { ...secrets, BCRYPT_COST: '4' }, ['BCRYPT_COST']],
    ['every proxy trusted', { ...secrets, TRUST_PROXY: 'true' }, ['TRUST_PROXY']],
    ['a port out of range', { ...secrets, PORT: '70000' }, ['PORT']],
    ['an unknown kind of database', { ...secrets, DATABASE_URL: 'mysql://localhost/db' }, ['DATABASE_URL']],
  ])('refuses to start with %s, naming the settings but not their values', async (_case, settings, named) => {
    await using server = await runProduct(settings);
    expect(await server.exited).toBe(1);
    const output = server.output();
    const names = output.match(/^ {2}[A-Z_]+/gm)?.map((name) => name.trim());
    expect(names).toEqual(named);
    for (const secret of [strong, secrets.JWT_REFRESH_SECRET, 'hunter2']) expect(output).not.toContain(secret);
    expect(output).not.toContain('    at ');
  });
});
