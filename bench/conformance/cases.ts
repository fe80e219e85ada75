import { getEventListeners } from 'node:events';
import type { TRPCClient } from '@trpc/client';
import { ends, type App, type End, type Promised } from './adapters.ts';
import type { Router, World } from './world.ts';

type Client = TRPCClient<Router>;

export interface Scene {
  world: World;
  app: App;
  client: Client;
  /** Without a refresh link. */
  bare: Client;
  end: End;
  expect(what: string, actual: unknown, wanted: unknown): void;
  rejections: unknown[];
}

export interface Case {
  id: string;
  title: string;
  needs?: Promised;
  guest?: boolean;
  over?: readonly End[];
  run(scene: Scene): Promise<void>;
}

/** Long enough for everything that is not held back. No case depends on something being slow. */
export const calm = (ms = 60) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const once = ['httpLink'] as const;
const batches = ['httpBatchLink', 'httpBatchStreamLink'] as const;

type Outcome = { value: unknown } | { error: Failed };
interface Failed {
  data?: { code?: string } | null;
  cause?: { name?: string };
  message: string;
}

const outcome = (call: Promise<unknown>): Promise<Outcome> =>
  call.then(
    (value) => ({ value }),
    (error: unknown) => ({ error: error as Failed }),
  );
const errorOf = (result: Outcome): Failed | undefined => ('error' in result ? result.error : undefined);
const values = (results: Outcome[]) => results.map((result) => ('value' in result ? result.value : 'refused'));
const all = (client: Client, inputs: string[]) => Promise.all(inputs.map((input) => outcome(client.me.query(input))));
const has = (part: string) => (url: string) => decodeURIComponent(url).includes(`"${part}"`);

function watch(client: Client, onFirst = () => {}) {
  const seen = { data: [] as number[], errors: 0, completes: 0 };
  const { promise, resolve } = Promise.withResolvers<void>();
  const { unsubscribe } = client.events.subscribe(
    {},
    {
      onData({ data }) {
        seen.data.push(data);
        onFirst();
      },
      onError() {
        seen.errors++;
        resolve();
      },
      onComplete() {
        seen.completes++;
        resolve();
      },
    },
  );
  return { seen, unsubscribe, over: promise };
}

async function until(is: () => boolean): Promise<void> {
  while (!is()) await calm(5);
}

export const cases: Case[] = [
  {
    id: 'SF-01',
    title: 'an expired token goes unnoticed, after one refresh',
    async run({ world, client, expect }) {
      world.expire();
      expect('answer', values(await all(client, ['a'])), ['a']);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'SF-02',
    title: 'five concurrent calls share one refresh',
    async run({ world, client, expect }) {
      world.expire();
      expect('answers', values(await all(client, ['a', 'b', 'c', 'd', 'e'])), ['a', 'b', 'c', 'd', 'e']);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'SF-04',
    title: 'a call that starts during the refresh waits, and is sent once',
    async run({ world, client, expect }) {
      const { promise, resolve } = Promise.withResolvers<void>();
      world.hold = promise;
      world.expire();
      const first = outcome(client.me.query('a'));
      await until(() => world.refreshes() > 0);
      const second = outcome(client.me.query('second'));
      await calm();
      resolve();
      expect('answers', values(await Promise.all([first, second])), ['a', 'second']);
      expect('sent', world.sent.filter(({ url }) => has('second')(url)).length, 1);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'SF-06',
    title: 'gives up when a fresh token is refused: one refresh, two attempts',
    async run({ world, client, expect }) {
      world.expire();
      world.refusesAll = true;
      expect('answer', values(await all(client, ['a'])), ['refused']);
      expect('one refresh, two attempts', world.refreshes() <= 1 && world.sent.length <= 2, true);
    },
  },
  {
    id: 'SF-08',
    title: 'refreshes again after a failed refresh',
    async run({ world, client, expect }) {
      world.expire();
      world.answer = 'no network';
      expect('during', values(await all(client, ['a'])), ['refused']);
      world.answer = 'grant';
      await calm(200);
      expect('afterwards', values(await all(client, ['b'])), ['b']);
    },
  },
  {
    id: 'SF-09',
    title: 'ten calls in a row during an outage make one refresh',
    over: once,
    async run({ world, client, expect }) {
      world.expire();
      world.answer = 'busy';
      for (let i = 0; i < 10; i++) await outcome(client.me.query('a'));
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'SF-10',
    title: 'two clients of one app share one refresh',
    async run({ world, app, client, end, expect }) {
      world.expire();
      const other = app.client(end);
      const results = await Promise.all([
        ...['a', 'b'].map((input) => outcome(client.me.query(input))),
        outcome(other.me.query('c')),
      ]);
      expect('answers', values(results), ['a', 'b', 'c']);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'SF-12',
    title: 'a guest is refused without a refresh',
    guest: true,
    async run({ world, client, expect }) {
      expect('code', errorOf(await outcome(client.me.query('a')))?.data?.code, 'UNAUTHORIZED');
      expect('refreshes', world.refreshes(), 0);
    },
  },
  {
    id: 'late 401',
    title: 'a refusal that arrives after the refresh does not cause another',
    needs: 'recovers from a refusal',
    async run({ world, client, expect }) {
      const { promise, resolve } = Promise.withResolvers<void>();
      world.holdAnswer = (url) => (has('slow')(url) ? promise : undefined);
      world.revoke();
      const slow = outcome(client.me.query('slow'));
      await until(() => world.refusals() > 0);
      const [fast] = await all(client, ['fast']);
      resolve();
      expect('answers', values([fast!, await slow]), ['fast', 'slow']);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'BA-01',
    title: 'only the refused calls of a batch are sent again',
    over: batches,
    async run({ world, client, expect }) {
      world.expire();
      const calls = [client.me.query('a'), client.open.query('public'), client.me.query('b')];
      expect('answers', values(await Promise.all(calls.map(outcome))), ['a', 'public', 'b']);
      expect('ran', world.ran.toSorted(), ['a', 'b', 'public']);
    },
  },
  {
    id: 'BA-02',
    title: 'the same when createContext refuses',
    over: batches,
    async run({ world, client, expect }) {
      world.expire();
      world.contextRefuses = true;
      const calls = [client.me.query('a'), client.open.query('public')];
      expect('answers', values(await Promise.all(calls.map(outcome))), ['a', 'public']);
    },
  },
  {
    id: 'BA-05',
    title: 'a refused refresh is not itself refreshed',
    async run({ world, client, expect }) {
      world.expire();
      world.answer = 'ended';
      expect('answer', values(await all(client, ['a'])), ['refused']);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'MU-01',
    title: 'a mutation takes effect once',
    async run({ world, client, expect }) {
      world.expire();
      expect('answer', await client.act.mutate('a'), 'a');
      expect('ran', world.ran, ['a']);
    },
  },
  {
    id: 'MU',
    title: 'a mutation that refuses after its effect is not sent again',
    async run({ world, client, expect }) {
      expect('code', errorOf(await outcome(client.late.mutate('a')))?.data?.code, 'UNAUTHORIZED');
      expect('ran', world.ran, ['a']);
    },
  },
  {
    id: 'MU-03',
    title: 'a wrong password is not mistaken for an expired token',
    async run({ world, client, expect }) {
      const result = await outcome(client.login.mutate('a', { context: { skipAuth: true } }));
      expect('code', errorOf(result)?.data?.code, 'UNAUTHORIZED');
      expect('ran', world.ran, ['a']);
      expect('refreshes', world.refreshes(), 0);
    },
  },
  {
    id: 'MU-04',
    title: 'a mutation whose second attempt is lost is not sent a third time',
    async run({ world, client, expect }) {
      world.expire();
      world.loses = (_url, isGood) => isGood;
      expect('answer', values([await outcome(client.act.mutate('a'))]), ['refused']);
      await calm();
      expect('sent at most twice', world.sent.length <= 2, true);
    },
  },
  {
    id: 'LO-11',
    title: 'a login does not wait for a refresh',
    needs: 'lets calls skip it',
    async run({ world, client, expect }) {
      world.answer = 'never';
      world.expire();
      const waiting = new AbortController();
      const call = outcome(client.me.query('a', { signal: waiting.signal }));
      await until(() => world.refreshes() > 0);
      const result = await outcome(client.login.mutate('b', { context: { skipAuth: true } }));
      expect('code', errorOf(result)?.data?.code, 'UNAUTHORIZED');
      waiting.abort();
      void call;
    },
  },
  {
    id: 'RF-01',
    title: 'the session has ended: every caller learns of it, the app once, and no more requests follow',
    async run({ world, app, client, expect }) {
      world.expire();
      world.answer = 'ended';
      expect('answers', values(await all(client, ['a', 'b', 'c'])), ['refused', 'refused', 'refused']);
      await outcome(client.me.query('later'));
      expect('signed in', app.isSignedIn(), false);
      expect('endings', app.endings(), 1);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'RF-02',
    title: 'no network: still signed in, and the error is not UNAUTHORIZED',
    async run({ world, app, client, expect }) {
      world.expire();
      world.answer = 'no network';
      const result = errorOf(await outcome(client.me.query('a')));
      expect('signed in', app.isSignedIn(), true);
      expect('an error', result !== undefined, true);
      expect('code', result?.data?.code, undefined);
    },
  },
  {
    id: 'RF-03',
    title: 'waits as long as the server asks, and callers learn how long',
    needs: 'reports when to retry',
    async run({ world, client, expect }) {
      world.expire();
      world.answer = 'busy';
      const result = errorOf(await outcome(client.me.query('a'))) as { meta?: { retryAfterMs?: number } };
      expect('retry time', (result.meta?.retryAfterMs ?? 0) > 500, true);
      await calm(200);
      await outcome(client.me.query('b'));
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'RF-06',
    title: 'a refresh that throws or returns nonsense fails like any other',
    async run({ world, app, client, expect }) {
      for (const answer of ['throws', 'nonsense'] as const) {
        world.expire();
        world.answer = answer;
        expect(answer, values(await all(client, ['a', 'b'])), ['refused', 'refused']);
      }
      expect('signed in', app.isSignedIn(), true);
    },
  },
  {
    id: 'RF-07',
    title: 'a refresh fails while others wait: all settle, without an unhandled rejection',
    async run({ world, client, expect, rejections }) {
      const { promise, resolve } = Promise.withResolvers<void>();
      world.hold = promise;
      world.answer = 'no network';
      world.expire();
      const first = all(client, ['a', 'b']);
      await until(() => world.refreshes() > 0);
      const then = all(client, ['c', 'd']);
      await calm();
      resolve();
      expect('answers', values([...(await first), ...(await then)]), ['refused', 'refused', 'refused', 'refused']);
      await calm();
      expect('unhandled rejections', rejections.length, 0);
    },
  },
  {
    id: 'LO-02',
    title: 'signing out during a refresh: the session stays ended, and its token is never sent',
    async run({ world, app, client, expect }) {
      const { promise, resolve } = Promise.withResolvers<void>();
      world.hold = promise;
      world.expire();
      const call = outcome(client.me.query('a'));
      await until(() => world.refreshes() > 0);
      app.signOut();
      resolve();
      expect('answer', values([await call]), ['refused']);
      expect('signed in', app.isSignedIn(), false);
      expect('ran', world.ran, []);
    },
  },
  {
    id: 'PR-05',
    title: 'after sleep, calls wait for one refresh, and none is refused',
    needs: 'watches the clock',
    async run({ world, client, expect }) {
      world.sleep();
      expect('answers', values(await all(client, ['a', 'b'])), ['a', 'b']);
      expect('refusals', world.refusals(), 0);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'PR-08',
    title: 'a token that the server refuses early is renewed',
    needs: 'recovers from a refusal',
    async run({ world, client, expect }) {
      world.revoke();
      expect('answer', values(await all(client, ['a'])), ['a']);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'AB-02',
    title: 'aborted beforehand: nothing is sent or refreshed',
    async run({ world, client, expect }) {
      world.expire();
      const result = errorOf(await outcome(client.me.query('a', { signal: AbortSignal.abort() })));
      await calm();
      expect('cause', result?.cause?.name, 'AbortError');
      expect('sent', world.sent.length, 0);
      expect('refreshes', world.refreshes(), 0);
    },
  },
  {
    id: 'AB-05',
    title: 'an abort reaches the second attempt',
    async run({ world, client, expect }) {
      let isHeld = false;
      world.holdRequest = (url, isGood) => {
        isHeld = isGood && has('a')(url);
        return isHeld ? new Promise<never>(() => {}) : undefined;
      };
      world.expire();
      const controller = new AbortController();
      const call = outcome(client.me.query('a', { signal: controller.signal }));
      await until(() => isHeld);
      controller.abort();
      expect('cause', errorOf(await call)?.cause?.name, 'AbortError');
      expect('aborted', world.sent.at(-1)?.aborted, true);
    },
  },
  {
    id: 'AB-06',
    title: 'an abort while waiting for a refresh rejects immediately',
    async run({ world, client, expect }) {
      world.answer = 'never';
      world.expire();
      const controller = new AbortController();
      const call = outcome(client.me.query('a', { signal: controller.signal }));
      await until(() => world.refreshes() > 0);
      controller.abort();
      expect('cause', errorOf(await call)?.cause?.name, 'AbortError');
    },
  },
  {
    id: 'AB-07',
    title: 'leaves no listeners of its own on a long-lived signal',
    async run({ client, bare, expect }) {
      const left: number[] = [];
      for (const each of [bare, client]) {
        const { signal } = new AbortController();
        for (let i = 0; i < 15; i++) await each.open.query('a', { signal });
        left.push(getEventListeners(signal, 'abort').length);
      }
      expect('listeners', left[1], left[0]);
    },
  },
  {
    id: 'SU-01',
    title: 'a stream that starts with an expired token connects without an error',
    over: once,
    async run({ world, client, expect }) {
      world.expire();
      const { seen, unsubscribe, over } = watch(client, () => unsubscribe());
      await Promise.race([over, until(() => seen.data.length > 0)]);
      expect('first', seen.data, [1]);
      expect('errors', seen.errors, 0);
      expect('refreshes', world.refreshes(), 1);
    },
  },
  {
    id: 'SU-02',
    title: 'a stream that ends with its token resumes, with every event once',
    needs: 'recovers from a refusal',
    over: once,
    async run({ client, expect }) {
      const { seen, over, unsubscribe } = watch(client);
      await Promise.race([over, until(() => seen.data.length > 8)]);
      unsubscribe();
      expect('events', seen.data, [1, 2, 3, 4, 5]);
      expect('errors', seen.errors, 0);
    },
  },
  {
    id: 'SU',
    title: 'a stream unsubscribed while waiting for a refresh never opens',
    over: once,
    async run({ world, client, expect }) {
      const { promise, resolve } = Promise.withResolvers<void>();
      world.hold = promise;
      world.expire();
      const { seen, unsubscribe } = watch(client);
      await until(() => world.refreshes() > 0);
      const before = world.sent.length;
      unsubscribe();
      resolve();
      await calm(150);
      expect('sent afterwards', world.sent.length - before, 0);
      expect('events', seen.data, []);
    },
  },
  {
    id: 'SE-01',
    title: 'no token appears in a URL or in logger output',
    async run({ world, client, expect }) {
      world.expire();
      await client.me.query('a');
      const printed = JSON.stringify([world.sent.map(({ url }) => url), world.logged]);
      expect('contains a token', printed.includes('secret-'), false);
    },
  },
];

export const endsOf = ({ over }: Case): readonly End[] => over ?? ends;
