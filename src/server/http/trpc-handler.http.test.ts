import { request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { testWorld, type World } from '../testing/world.ts';

/** Opens a stream and waits for its first event. */
async function openStream(
  world: World,
  accessToken: string,
  headers: Record<string, string>,
): Promise<IncomingMessage> {
  const stream = request(`${world.url}/trpc/auth.sessionEvents`, {
    agent: false,
    headers: { accept: 'text/event-stream', authorization: `Bearer ${accessToken}`, ...headers },
  });
  stream.end();
  const [answer] = (await once(stream, 'response')) as [IncomingMessage];
  await once(answer, 'data');
  return answer;
}

describe('a stream', () => {
  it('closes its connection at the end if the client asked for it', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { accessToken } = await client.register();
    const stream = await openStream(world, accessToken, { connection: 'close' });
    expect(stream.headers.connection).toBe('close');
    const closed = once(stream.socket, 'close');
    await client.mutate('auth.logout');
    stream.resume();
    await closed;
  });

  // Otherwise it would delay shutdown.
  it('closes its connection at the end if it began while the server was draining', async () => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register();
    world.services.drain();
    const stream = await openStream(world, accessToken, { connection: 'keep-alive' });
    expect(stream.headers.connection).toBe('close');
    const closed = once(stream.socket, 'close');
    stream.resume();
    await closed;
  });

  it('keeps its connection otherwise', async () => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register();
    const stream = await openStream(world, accessToken, { connection: 'keep-alive' });
    expect(stream.headers.connection).toBe('keep-alive');
    stream.destroy();
  });

  it('may not be stored or transformed in transit', async () => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register();
    const stream = await openStream(world, accessToken, {});
    expect(stream.headers['cache-control']).toBe('no-store, no-transform');
    stream.destroy();
  });
});
