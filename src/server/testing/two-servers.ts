import { testWorld, type World } from './world.ts';

/** Streams that look for themselves so rarely learn of a change only by a notification. */
const NEVER_LOOK_MS = 24 * 60 * 60_000;

export interface TwoServers extends AsyncDisposable {
  one: World;
  two: World;
  /** Advances both clocks, which keep their difference. */
  advance(ms: number): void;
}

/**
 * Starts two servers on one PostgreSQL database, each with its own connections and its own clock.
 * @param skewMs how far the second clock is ahead
 */
export async function twoServers(url: string, skewMs = 0): Promise<TwoServers> {
  await using opened = new AsyncDisposableStack();
  const database = { kind: 'postgres' as const, url };
  const one = opened.use(await testWorld({ database }, NEVER_LOOK_MS));
  const two = opened.use(await testWorld({ database }, NEVER_LOOK_MS));
  two.clock.advance(skewMs);
  const kept = opened.move();
  return {
    one,
    two,
    advance(ms) {
      for (const { clock } of [one, two]) clock.advance(ms);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

export interface EventStream extends Disposable {
  /** Reads on until what has been received contains `text`; rejects where the stream ends before. */
  until(text: string): Promise<void>;
}

/** Opens a stream of session events, without the client of tRPC, which would reconnect. */
export async function openStream({ url }: Pick<World, 'url'>, accessToken: string | undefined): Promise<EventStream> {
  const aborting = new AbortController();
  const { body } = await fetch(`${url}/trpc/auth.sessionEvents`, {
    headers: { accept: 'text/event-stream', authorization: `Bearer ${accessToken}` },
    signal: aborting.signal,
  });
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  let received = '';
  return {
    async until(text) {
      while (!received.includes(text)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`The stream ended before ${text}: ${received}`);
        received += value;
      }
    },
    [Symbol.dispose]: () => aborting.abort(),
  };
}
