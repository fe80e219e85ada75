import type { Operation } from '@trpc/client';
import { describe, expect, it } from 'vitest';
import { authHeaders } from './refresh-link.ts';
import type { Session } from './session/index.ts';
import { settled } from './testing/fake-browser.ts';
import { grantOf, refusal, type RefreshOutcome, type User } from './testing/fake-server.ts';
import { expired, openClient, watch } from './testing/open-client.ts';
import { granted, never } from './testing/open-tab.ts';

describe('a subscription', () => {
  const dataOf = (id: string) => ({ id, data: id });

  it('SU-04 gives up on a stream that is repeatedly refused after its first event', async () => {
    const { client, sent, refresh } = openClient({ answers: [granted({ generation: 2 })] });
    const { seen } = watch(client);
    for (let i = 0; i < 100; i++) {
      await settled();
      if (seen.errors.length > 0) break;
      sent.at(-1)!.next(i, `${i}`);
      sent.at(-1)!.fail(refusal(expired));
    }
    expect(seen.errors[0]?.meta).toMatchObject({ refresh: 'exhausted' });
    expect(refresh.mock.calls.length).toBeLessThan(30);
  });

  it('SU-01 reconnects after a refused first connection', async () => {
    const { client, sent, refresh } = openClient();
    const { seen, unsubscribe } = watch(client);
    await settled();
    sent[0]!.state({ type: 'started' });
    sent[0]!.state({ type: 'state', state: 'pending', error: null });
    sent[0]!.fail(refusal(expired));
    await settled();
    sent[1]!.state({ type: 'state', state: 'pending', error: null });
    sent[1]!.next('one');
    expect(seen).toEqual({ data: ['one'], states: ['pending', 'connecting!', 'pending'], errors: [], completes: 0 });
    expect(refresh).toHaveBeenCalledTimes(1);
    unsubscribe();
    expect(sent[1]!.isCancelled()).toBe(true);
  });

  it.each([
    [undefined, { lastEventId: '2' }],
    [{ room: 'a' }, { room: 'a', lastEventId: '2' }],
    ['a', 'a'],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  ])('SU-02 SU-06 resumes after the last event with input %j', async (input, resumed) => {
    const { client, sent } = openClient();
    const { seen, unsubscribe } = watch(client, input);
    await settled();
    sent[0]!.next(dataOf('1'), '1');
    sent[0]!.next(dataOf('2'), '2');
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(sent[0]!.op.input).toEqual(input);
    expect(sent[1]!.op.input).toEqual(resumed);
    sent[1]!.next(dataOf('3'), '3');
    expect(seen.data).toEqual([dataOf('1'), dataOf('2'), dataOf('3')]);
    unsubscribe();
  });

  it('SU-02 SU-04 refreshes at the end of every healthy period', async () => {
    const { client, sent, refresh } = openClient();
    const { seen, unsubscribe } = watch(client);
    for (let i = 1; i <= 5; i++) {
      await settled();
      sent.at(-1)!.next(dataOf(`${i}`), `${i}`);
      sent.at(-1)!.fail(refusal(expired));
    }
    await settled();
    expect(refresh).toHaveBeenCalledTimes(5);
    expect(seen.errors).toEqual([]);
    expect(seen.data).toHaveLength(5);
    unsubscribe();
  });

  it('SU-04 counts a long-lived connection without events as healthy', async () => {
    const { client, sent, clock } = openClient();
    const { seen, unsubscribe } = watch(client);
    for (let i = 1; i <= 3; i++) {
      await settled();
      sent.at(-1)!.state({ type: 'started' });
      await clock.advance(5000);
      sent.at(-1)!.fail(refusal(expired));
    }
    await settled();
    expect(seen.errors).toEqual([]);
    expect(sent).toHaveLength(4);
    unsubscribe();
  });

  it('SU-04 SU-06 counts a connection that reconnected on its own as healthy', async () => {
    const { client, sent, clock } = openClient({ proactive: false });
    const { seen, unsubscribe } = watch(client);
    await settled();
    sent[0]!.state({ type: 'started' });
    sent[0]!.fail(refusal(expired));
    await settled();
    sent[1]!.state({ type: 'started' });
    await clock.advance(600_000);
    sent[1]!.state({ type: 'started' });
    sent[1]!.fail(refusal(expired));
    await settled();
    expect(seen.errors).toEqual([]);
    expect(sent).toHaveLength(3);
    unsubscribe();
  });

  it('SU-04 also does so with one-second tokens', async () => {
    const second = granted({ generation: 2, expiresIn: 1 });
    const { client, sent, session, clock } = openClient({ answers: [second] });
    session.signIn(grantOf({ expiresIn: 1 }));
    const { seen, unsubscribe } = watch(client);
    for (let i = 1; i <= 3; i++) {
      await settled();
      sent.at(-1)!.state({ type: 'started' });
      await clock.advance(900);
      sent.at(-1)!.fail(refusal(expired));
    }
    await settled();
    expect(seen.errors).toEqual([]);
    unsubscribe();
  });

  it('does not count a connection that is refused right after starting', async () => {
    const { client, sent, refresh } = openClient();
    const { seen } = watch(client);
    for (let i = 0; i < 2; i++) {
      await settled();
      sent.at(-1)!.state({ type: 'started' });
      sent.at(-1)!.fail(refusal(expired));
    }
    await settled();
    expect(sent).toHaveLength(2);
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(seen.errors.map(({ meta }) => meta)).toEqual([{ refresh: 'exhausted' }]);
    expect(seen.completes).toBe(0);
  });

  it('SU-05 SU-07 gives a reconnecting stream the current token', async () => {
    const { client, sent, session, core } = openClient();
    const { unsubscribe } = watch(client);
    await settled();
    const op: Operation = sent[0]!.op;
    expect(authHeaders(session)({ op })).toEqual({ authorization: `Bearer ${grantOf().accessToken}` });
    await core.renew(1);
    expect(authHeaders(session)({ op })).toEqual({ authorization: `Bearer ${grantOf({ generation: 2 }).accessToken}` });
    await session.signOut();
    expect(authHeaders(session)({ op })).toEqual({});
    unsubscribe();
  });

  it('SU-12 waits while the server is unreachable, and resumes once it is back', async () => {
    const { client, sent, clock, refresh } = openClient({
      answers: [new TypeError('offline'), new TypeError('offline'), granted({ generation: 2 })],
    });
    const { seen, unsubscribe } = watch(client);
    await settled();
    sent[0]!.next(dataOf('1'), '1');
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(seen.errors).toEqual([]);
    expect(seen.states).toEqual(['connecting!', 'connecting!']);
    await clock.advance(3000);
    expect(refresh).toHaveBeenCalledTimes(3);
    expect(sent).toHaveLength(2);
    expect(sent[1]!.op.input).toEqual({ lastEventId: '1' });
    unsubscribe();
  });

  it('SU-12 holds back one that starts meanwhile', async () => {
    const { client, sent, clock } = openClient({ answers: [new TypeError('offline'), granted({ generation: 2 })] });
    clock.sleep(3_600_000);
    const { seen, unsubscribe } = watch(client);
    await settled();
    expect(sent).toHaveLength(0);
    await clock.advance(1000);
    expect(sent).toHaveLength(1);
    expect(seen.errors).toEqual([]);
    unsubscribe();
  });

  it.each([
    ['SU-10 logging out', (session: Session<User>) => void session.signOut()],
    ['SU-11 somebody else', (session: Session<User>) => session.signIn(grantOf({ sid: 's2', name: 'bob' }))],
    ['the end', (session: Session<User>) => session.ended('revoked', 's1')],
    ['disposing', (session: Session<User>) => session.dispose()],
  ])('%s completes it once', async (_what, act) => {
    const { client, sent, session } = openClient();
    const { seen } = watch(client);
    await settled();
    act(session);
    await settled();
    expect(sent[0]!.isCancelled()).toBe(true);
    sent[0]!.next('late');
    sent[0]!.complete();
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(seen).toMatchObject({ data: [], errors: [], completes: 1 });
    expect(sent).toHaveLength(1);
  });

  it('SU-10 ends on logout while waiting for the server', async () => {
    const { client, sent, session, clock } = openClient({ answers: [new TypeError('offline')] });
    const { seen } = watch(client);
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    void session.signOut();
    await clock.advance(60_000);
    expect(seen.errors.map(({ meta }) => meta)).toEqual([{ refresh: 'ended' }]);
    expect(seen.completes).toBe(0);
    expect(sent).toHaveLength(1);
  });

  it('does not swallow what onError throws', async () => {
    const { client, sent } = openClient();
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection').once('unhandledRejection', resolve);
    const mistake = new Error('a mistake of the app');
    client.subscription('events', undefined, {
      onError() {
        throw mistake;
      },
    });
    await settled();
    sent[0]!.fail(refusal(undefined, 'INTERNAL_SERVER_ERROR'));
    expect(await promise).toBe(mistake);
    for (const other of others) process.on('unhandledRejection', other);
  });

  it('reports the end of the session as an error', async () => {
    const { client, sent, session } = openClient();
    const { seen } = watch(client);
    await settled();
    sent[0]!.fail(refusal({ code: 'session_ended', reason: 'revoked' }));
    await settled();
    expect(seen.errors.map(({ meta }) => meta)).toEqual([{ refresh: 'ended' }]);
    expect(seen.completes).toBe(0);
    expect(session.state.status).toBe('signed-out');
  });

  it('keeps the stream of a guest across a login', async () => {
    const { client, sent, session } = openClient({ signedIn: false });
    await session.start();
    const { seen, unsubscribe } = watch(client);
    await settled();
    session.signIn(grantOf());
    await settled();
    sent[0]!.next('public');
    expect(seen).toMatchObject({ data: ['public'], completes: 0 });
    unsubscribe();
  });

  it('SU-16 is not disturbed by an early refresh', async () => {
    const { client, sent, clock, refresh } = openClient();
    const { seen, unsubscribe } = watch(client);
    await clock.advance(840_000);
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(sent).toHaveLength(1);
    expect(seen).toMatchObject({ states: [], completes: 0 });
    unsubscribe();
  });

  it.each([
    ['while it runs', undefined],
    ['while it waits', refusal(expired)],
  ])('is silent once unsubscribed %s, and never reconnects', async (_when, error) => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { client, sent } = openClient({ answers: [promise] });
    const { seen, unsubscribe } = watch(client);
    await settled();
    if (error) sent[0]!.fail(error);
    await settled();
    const before = structuredClone({ ...seen, errors: [] });
    unsubscribe();
    resolve(granted({ generation: 2 }));
    await settled();
    sent[0]!.next('late');
    expect({ ...seen }).toEqual(before);
    expect(sent).toHaveLength(1);
  });

  it('ends with an error if aborted while it runs', async () => {
    const { client, sent } = openClient();
    const controller = new AbortController();
    const { seen } = watch(client, undefined, controller.signal);
    await settled();
    controller.abort();
    expect(seen.errors.map(({ cause }) => cause?.name)).toEqual(['AbortError']);
    expect(seen.completes).toBe(0);
    expect(sent[0]!.isCancelled()).toBe(true);
  });

  it('ends with an error if aborted while it waits', async () => {
    const { client, sent } = openClient({ answers: [never] });
    const controller = new AbortController();
    const { seen } = watch(client, undefined, controller.signal);
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    controller.abort();
    expect(seen.errors.map(({ cause }) => cause?.name)).toEqual(['AbortError']);
  });

  it('SU-12 that waits in a hidden tab resumes once refreshing works again, after which the tab is idle', async () => {
    const { client, sent, clock, refresh, tab } = openClient({
      answers: [new TypeError('offline'), new TypeError('offline'), granted({ generation: 2 })],
    });
    const { seen, unsubscribe } = watch(client);
    await settled();
    sent[0]!.next(dataOf('1'), '1');
    tab.hide();
    sent[0]!.fail(refusal(expired));
    await clock.advance(3000);
    expect(refresh).toHaveBeenCalledTimes(3);
    expect(sent).toHaveLength(2);
    expect(sent[1]!.op.input).toEqual({ lastEventId: '1' });
    await clock.advance(3_600_000);
    expect(refresh).toHaveBeenCalledTimes(3);
    expect(seen.errors).toEqual([]);
    unsubscribe();
  });

  it('SU-12 that is unsubscribed while waiting in a hidden tab causes no more refreshes', async () => {
    const { client, sent, clock, refresh, tab } = openClient({ answers: [new TypeError('offline')] });
    const { unsubscribe } = watch(client);
    await settled();
    tab.hide();
    sent[0]!.fail(refusal(expired));
    await settled();
    unsubscribe();
    await clock.advance(3_600_000);
    expect(refresh).toHaveBeenCalledTimes(1);
  });
});
