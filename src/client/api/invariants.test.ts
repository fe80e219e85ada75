import { TRPCUntypedClient } from '@trpc/client';
import type { AnyRouter } from '@trpc/server';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { authHeaders, refreshLink } from './refresh-link.ts';
import { createSession, type Session as SessionOf } from './session/index.ts';
import { fakeBrowser, settled } from './testing/fake-browser.ts';
import { endingLink, fakeServer, refusal, type User } from './testing/fake-server.ts';

type Session = SessionOf<User>;

const people = ['ann', 'bob'] as const;
type Command =
  | { do: 'query' | 'mutation' | 'stream' | 'abort' | 'signOut' | 'wake' | 'restart'; tab: number }
  | { do: 'logIn'; tab: number; name: string }
  | { do: 'expire' | 'revoke' }
  | { do: 'lose'; count: number }
  | { do: 'pass'; ms: number }
  | { do: 'deliver'; count: number };

const tab = fc.nat({ max: 1 });
const onTab = <T extends Exclude<Command['do'], 'logIn' | 'expire' | 'revoke' | 'lose' | 'pass' | 'deliver'>>(
  ...what: T[]
) => fc.record({ do: fc.constantFrom(...what), tab });
/** Weighted towards rare and dangerous events: signing in or out while a refresh is in flight. */
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: onTab('query', 'mutation', 'stream') },
  { weight: 6, arbitrary: fc.constant<Command>({ do: 'expire' }) },
  { weight: 4, arbitrary: onTab('signOut') },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('logIn' as const), tab, name: fc.constantFrom(...people) }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('deliver' as const), count: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lose' as const), count: fc.integer({ min: 1, max: 2 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 1000, 30_000, 900_000) }),
  },
  { weight: 2, arbitrary: onTab('abort', 'wake', 'restart') },
  { weight: 1, arbitrary: fc.constant<Command>({ do: 'revoke' }) },
);

interface Operation {
  name: string;
  kind: 'query' | 'mutation' | 'stream';
  aborted: boolean;
  terminals: number;
  afterEnd: number;
  dispatches: number;
  sids: Set<string>;
  data: number[];
  controller: AbortController;
}

/**
 * Runs the commands in a browser with two tabs, against a server and a network whose delivery order the scheduler
 * picks. Lets everything arrive, and returns the invariants that were violated.
 */
async function run(s: fc.Scheduler, commands: readonly Command[]): Promise<string[]> {
  const wrong = new Set<string>();
  const browser = fakeBrowser({ defer: (what) => s.schedule(Promise.resolve(), what) });
  const server = fakeServer({ now: browser.clock.now });
  const operations: Operation[] = [];
  let lost = 0;
  let triggers = 1;
  /** The session of the last login, until it is ended. */
  let latest: string | undefined;
  /** Sessions that were logged out of, with the pages that know it. */
  const loggedOut = new Map<string, Set<Session>>();

  const network = async (leg: string) => {
    await s.schedule(Promise.resolve(), leg);
    if (lost > 0) {
      lost--;
      triggers++;
      throw new TypeError('lost');
    }
  };

  const make = (at: number) => {
    let inFlight = 0;
    let timers = 0;
    let owner: string | undefined;
    const { environment, fire } = browser.tab({
      setTimer(run, ms) {
        timers++;
        let isOver = false;
        const end = () => {
          if (!isOver) timers--;
          isOver = true;
        };
        const cancel = browser.clock.setTimer(() => {
          end();
          run();
        }, ms);
        return () => {
          end();
          cancel();
        };
      },
      openDocument() {
        triggers++;
        const load = async () => {
          await s.schedule(Promise.resolve(), 'load');
          if (all[at]?.session === session) reload(at);
        };
        void load();
      },
    });
    const ask = server.refresh(network);
    const session: Session = createSession<User>({
      async refresh(o) {
        if (++inFlight > 1) wrong.add('I1 two refreshes in one tab');
        const onAbort = () => {
          inFlight--;
          // Timed out, which is a failure too.
          triggers++;
        };
        o.signal.addEventListener('abort', onAbort, { once: true });
        try {
          return await ask(o);
        } finally {
          o.signal.removeEventListener('abort', onAbort);
          if (!o.signal.aborted) inFlight--;
        }
      },
      logout: server.logout(() => network('logout')),
      cooldown: { baseMs: 1000, maxMs: 4000 },
      environment,
    });
    let before: Session['state'] = session.state;
    session.subscribe(() => {
      const { state } = session;
      const isReplaced = state.status === 'signed-out' && state.reason === 'replaced';
      if (before !== state && before.status === 'signed-out' && state.status === 'signed-out' && !isReplaced)
        wrong.add('I9 ended twice');
      if (state.status === 'signed-in' && loggedOut.get(state.session.id)?.has(session))
        wrong.add('I7 back after logout');
      if (state.status === 'signed-in' && (owner ??= state.session.id) !== state.session.id)
        wrong.add('I17 a page belonged to two sessions');
      before = state;
    });
    for (const pages of loggedOut.values()) pages.add(session);
    const ending = endingLink(
      authHeaders(session),
      ({ op, authorization, isCancelled, next, fail, complete, state }) => {
        const operation = op.context.operation as Operation;
        operation.dispatches++;
        if (operation.aborted) wrong.add('I12 sent after it was aborted');
        const sid = authorization && server.sidOf(authorization.replace('Bearer ', ''));
        if (sid) {
          operation.sids.add(sid);
          if (sid !== owner) wrong.add('I17 a call carried a token of someone other than the owner of its page');
          if (loggedOut.get(sid)?.has(session)) wrong.add('I7 a token used after logout');
        }
        const id = operations.indexOf(operation);
        const answer = async () => {
          await s.schedule(Promise.resolve(), 'call');
          const failure = server.refuses(authorization);
          if (!failure && operation.kind === 'mutation') server.effects.set(id, (server.effects.get(id) ?? 0) + 1);
          await s.schedule(Promise.resolve(), 'answer');
          if (isCancelled()) return;
          if (operation.kind === 'stream') state({ type: 'started' });
          if (failure) return fail(refusal(failure));
          if (operation.kind !== 'stream') {
            next('fine');
            return complete();
          }
          // The token may expire between the three events.
          const from = Number((op.input as { lastEventId?: string } | undefined)?.lastEventId ?? 0);
          for (let event = from + 1; event <= 3; event++) {
            next(event, `${event}`);
            await s.schedule(Promise.resolve(), 'event');
            if (isCancelled()) return;
            const now = server.refuses(authorization);
            if (now) return fail(refusal(now));
          }
          complete();
        };
        void answer();
      },
    );
    const client = new TRPCUntypedClient<AnyRouter>({ links: [refreshLink({ session }), ending] });
    const isRenewalDue = () => session.state.status !== 'signed-in' || inFlight > 0 || timers > 0;
    return { session, client, fire, isRenewalDue };
  };

  const all: ReturnType<typeof make>[] = [];
  function reload(at: number): void {
    // Cuts off what is in flight.
    all[at]?.session.dispose();
    all[at] = make(at);
    void all[at].session.start();
  }
  all[0] = make(0);
  all[0].session.signIn(server.logIn('ann'));
  reload(1);

  const operate = (at: number, kind: Operation['kind']) => {
    const { client } = all[at]!;
    const controller = new AbortController();
    const operation: Operation = {
      name: `${kind} ${operations.length}`,
      kind,
      aborted: false,
      terminals: 0,
      afterEnd: 0,
      dispatches: 0,
      sids: new Set(),
      data: [],
      controller,
    };
    operations.push(operation);
    const context = { operation };
    const { signal } = controller;
    const end = () => void operation.terminals++;
    if (kind === 'stream') {
      client.subscription('events', undefined, {
        context,
        signal,
        onData(event: unknown) {
          if (operation.aborted || operation.terminals > 0) operation.afterEnd++;
          operation.data.push(event as { data?: number } | number as number);
        },
        onError: end,
        onComplete: end,
      });
    } else void client[kind]('call', undefined, { context, signal }).then(end, end);
  };

  const perform = async (c: Command) => {
    switch (c.do) {
      case 'query':
      case 'mutation':
      case 'stream':
        return operate(c.tab, c.do);
      case 'abort': {
        const open = operations.find(({ aborted, terminals }) => !aborted && terminals === 0);
        if (!open) return;
        open.aborted = true;
        open.controller.abort();
        if (open.kind === 'stream' && open.terminals !== 1) wrong.add('I12 an abort did not reject immediately');
        return;
      }
      case 'signOut': {
        triggers++;
        latest = undefined;
        const { session } = all[c.tab]!;
        if (session.state.status === 'signed-in') {
          const { id } = session.state.session;
          // From here on, neither this page nor one loaded later may use it.
          loggedOut.set(id, (loggedOut.get(id) ?? new Set()).add(session));
        }
        void session.signOut();
        if (session.state.status !== 'signed-out') wrong.add('I7 signing out is not immediate');
        return;
      }
      case 'logIn': {
        triggers++;
        const grant = server.logIn(c.name);
        latest = grant.session.id;
        return all[c.tab]!.session.signIn(grant);
      }
      case 'wake':
        triggers++;
        return all[c.tab]!.fire('wake');
      case 'restart':
        triggers++;
        return reload(c.tab);
      case 'expire':
        triggers++;
        return server.expire();
      case 'revoke':
        triggers++;
        latest = undefined;
        return server.revokeAll();
      case 'lose':
        lost += c.count;
        return;
      case 'pass':
        triggers++;
        return browser.clock.advance(c.ms);
      case 'deliver':
        for (let i = 0; i < c.count && s.count() > 0; i++) {
          await s.waitOne();
          await settled();
        }
    }
  };

  const drain = async () => {
    await settled();
    while (s.count() > 0) {
      await s.waitOne();
      await settled();
    }
  };

  for (const c of commands) {
    await perform(c);
    await settled();
    if (!all.every(({ isRenewalDue }) => isRenewalDue())) wrong.add('I13 signed in without a scheduled renewal');
  }
  lost = 0;
  await drain();
  // All pauses have ended, and the last messages have arrived.
  for (let i = 0; i < 8; i++) {
    await browser.clock.advance(5000);
    await drain();
  }

  for (const { name, kind, terminals, dispatches, sids, afterEnd, data } of operations) {
    if (terminals !== 1) wrong.add(`I6 I15 ${kind} ended ${terminals} times`);
    if (sids.size > 1) wrong.add(`I3 ${name} was sent for two sessions`);
    if (kind !== 'stream' && dispatches > 2) wrong.add(`I4 ${name} was sent ${dispatches} times`);
    if (afterEnd > 0) wrong.add('I12 data after the end');
    if (kind === 'stream' && JSON.stringify(data) !== JSON.stringify([1, 2, 3].slice(0, data.length)))
      wrong.add(`I16 events ${data.join()}`);
  }
  for (const count of server.effects.values()) if (count > 1) wrong.add('I5 a mutation took effect twice');
  if (server.seen.reuses > 0) wrong.add('I10 the server saw a reuse');
  // Each may cost one refresh per tab; pausing sessions retry every few seconds at the end.
  if (server.seen.refreshes > 2 * (triggers + operations.length) + 20) wrong.add('I2 too many refreshes');
  for (const { session } of all) {
    if (session.state.status === 'signed-in' && server.sessions.get(session.state.session.id)?.ended === undefined)
      continue;
    const living = [...server.sessions.values()].some(({ ended }) => ended === undefined);
    if (session.state.status === 'signed-out' && !living) continue;
    if (session.state.status === 'signed-out' && loggedOut.size > 0) continue;
    if (session.state.status === 'signed-out' && !commands.some((c) => ['logIn', 'revoke', 'signOut'].includes(c.do)))
      wrong.add('I8 signed out although nobody ended the session');
  }
  // While the jar holds its cookie, no older response or message may lose a login.
  if (latest !== undefined && server.cookie()?.sid === latest && server.sessions.get(latest)?.ended === undefined)
    for (const { session } of all) if (session.state.status === 'signed-out') wrong.add('I8 a login was lost');
  for (const { session } of all) session.dispose();
  await drain();
  const left = browser.count();
  if (left.timers + left.channels + left.listeners > 0) wrong.add(`leaks ${JSON.stringify(left)}`);
  const stored = [...browser.stored.values()].join();
  if (stored.includes('secret')) wrong.add('I14 a secret is stored');
  return [...wrong];
}

describe('under losses, delays, reordering and concurrency', () => {
  it('the invariants hold', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(command, { minLength: 3, maxLength: 25 }), async (s, commands) => {
        expect(await run(s, commands)).toEqual([]);
      }),
      { numRuns: 4000 },
    );
  });
});
