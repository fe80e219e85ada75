import { request } from 'node:http';
import { expect, test } from 'vitest';
import { testWorld, type World } from '../testing/world.ts';

const warnings = ({ log }: World) =>
  log.map((line) => JSON.parse(line) as { level: number; msg: string }).filter(({ level }) => level === 40);

/** From a browser that was led to `origin`, through proxies that pass on the host. */
async function come(world: World, origin: string, forwarded: Record<string, string> = {}): Promise<void> {
  const { port } = new URL(world.url);
  // `fetch` sets Host by itself.
  await new Promise((resolve, reject) => {
    const headers = { host: new URL(origin).host, origin, 'content-type': 'application/json', ...forwarded };
    request({ host: '127.0.0.1', port, path: '/trpc/auth.logout', method: 'POST', headers }, (res) =>
      res.resume().on('end', resolve),
    )
      .on('error', reject)
      .end();
  });
}

test('plain HTTP is said once, with what to set', async () => {
  await using world = await testWorld();
  for (let call = 0; call < 3; call += 1) await come(world, 'http://app.example.com');
  expect(warnings(world).map(({ msg }) => msg)).toEqual([
    expect.stringMatching(/^A browser came over plain HTTP\..*TRUST_PROXY/),
  ]);
});

test('HTTPS that ends in a proxy of which nobody has told is said once, with what to set', async () => {
  await using world = await testWorld();
  for (let call = 0; call < 3; call += 1)
    await come(world, 'https://app.example.com', { 'x-forwarded-proto': 'https' });
  expect(warnings(world).map(({ msg }) => msg)).toEqual([
    expect.stringMatching(/^A browser came over HTTPS, and this server cannot tell.*TRUST_PROXY/),
  ]);
});

test('a proxy that names the port which HTTPS implies is no other host', async () => {
  await using world = await testWorld();
  await come(world, 'https://app.example.com', { host: 'app.example.com:443' });
  expect(warnings(world)).toHaveLength(1);
});

test.each([
  ['HTTPS through a proxy that is known', 'https://app.example.com', { 'x-forwarded-proto': 'https' }, 1, true],
  ['this machine', 'http://localhost:3000', {}, 0, true],
  ['development', 'http://app.example.com', {}, 0, false],
])('nothing is said for %s', async (_, origin, forwarded, trustProxy, production) => {
  await using world = await testWorld({ trustProxy, production });
  await come(world, origin, forwarded);
  expect(warnings(world)).toEqual([]);
});

test('nothing is said of another site', async () => {
  await using world = await testWorld();
  await world.client().mutate('auth.logout', undefined, { headers: { origin: 'http://evil.example' } });
  expect(warnings(world)).toEqual([]);
});
