import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { testWorld, type World } from '../testing/world.ts';

const warnings = ({ log }: World) =>
  log.map((line) => JSON.parse(line) as { level: number; msg: string }).filter(({ level }) => level === 40);

/** Calls from a page of `origin`, through proxies that forward the host. @returns the status */
function call(world: World, origin: string, headers: Record<string, string> = {}): Promise<number | undefined> {
  const { port } = new URL(world.url);
  const all = { host: new URL(origin).host, origin, 'content-type': 'application/json', ...headers };
  // Not `fetch`, which sets its own Host.
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: '/trpc/auth.logout', method: 'POST', headers: all }, (res) =>
      res.resume().on('end', () => resolve(res.statusCode)),
    )
      .on('error', reject)
      .end();
  });
}

describe('proxyCheck', () => {
  it('warns once about plain HTTP, naming the setting', async () => {
    await using world = await testWorld();
    for (let times = 0; times < 3; times += 1) await call(world, 'http://app.example.com');
    expect(warnings(world).map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/^A browser connected over plain HTTP\..*TRUST_PROXY/),
    ]);
  });

  it('warns once about an untrusted HTTPS proxy, naming the setting', async () => {
    await using world = await testWorld();
    for (let times = 0; times < 3; times += 1)
      expect(await call(world, 'https://app.example.com', { 'x-forwarded-proto': 'https' })).toBe(403);
    expect(warnings(world).map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/^A browser connected over HTTPS, but .* not trusted.*TRUST_PROXY/),
    ]);
  });

  it('recognizes its own host when a proxy names the default port', async () => {
    await using world = await testWorld();
    await call(world, 'https://app.example.com', { host: 'app.example.com:443' });
    expect(warnings(world)).toHaveLength(1);
  });

  it.each([
    ['HTTPS through a trusted proxy', 'https://app.example.com', { 'x-forwarded-proto': 'https' }, 1, true],
    ['localhost', 'http://localhost:3000', {}, 0, true],
    ['development', 'http://app.example.com', {}, 0, false],
  ])('stays silent for %s', async (_, origin, headers, trustProxy, production) => {
    await using world = await testWorld({ trustProxy, production });
    expect(await call(world, origin, headers)).toBe(200);
    expect(warnings(world)).toEqual([]);
  });

  it('stays silent about another site', async () => {
    await using world = await testWorld();
    await world.client().mutate('auth.logout', undefined, { headers: { origin: 'http://evil.example' } });
    expect(warnings(world)).toEqual([]);
  });

  // Regression: 500, because the origin of such a URL is "null", which is not a URL.
  it.each(['x:', 'capacitor:', 'file:', 'blob:'])(
    'leaves refusing an origin with the scheme %s to the guard',
    async (scheme) => {
      await using world = await testWorld();
      const { host } = new URL(world.url);
      expect(await call(world, 'http://x', { host, origin: `${scheme}//${host}` })).toBe(403);
      expect(world.log.filter((line) => /"level":[456]0/.test(line))).toEqual([]);
    },
  );
});
