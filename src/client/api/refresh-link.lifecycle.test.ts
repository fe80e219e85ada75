import { describe, expect, it, vi } from 'vitest';
import { settled } from './testing/fake-browser.ts';
import { refusal, type RefreshOutcome } from './testing/fake-server.ts';
import { errorOf, expired, openClient, renewedTokens, watch } from './testing/open-client.ts';
import { granted, never } from './testing/open-tab.ts';

describe('an abort', () => {
  it('AB-02 reports an earlier abort only after subscribing', async () => {
    const { client } = openClient();
    const { promise, resolve } = Promise.withResolvers<string>();
    let subscribed = false;
    client.subscription('events', undefined, {
      signal: AbortSignal.abort(),
      onError: () => resolve(subscribed ? 'afterwards' : 'in between'),
    });
    subscribed = true;
    expect(await promise).toBe('afterwards');
  });

  const isAbort = (error: unknown) =>
    expect(error).toMatchObject({ name: 'TRPCClientError', cause: { name: 'AbortError' } });

  it('AB-02 never sends a call that was already aborted', async () => {
    const { client, sent, refresh } = openClient();
    isAbort(await errorOf(client.query('a', undefined, { signal: AbortSignal.abort() })));
    expect(sent).toHaveLength(0);
    expect(refresh).not.toHaveBeenCalled();
  });

  it('AB-06 rejects immediately while waiting for a refresh', async () => {
    const { client, sent, refresh } = openClient({ answers: [never] });
    const controller = new AbortController();
    const call = errorOf(client.query('a', undefined, { signal: controller.signal }));
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    controller.abort();
    isAbort(await call);
    expect(sent).toHaveLength(1);
    // Others may be waiting for it.
    expect(refresh.mock.calls[0]![0].signal.aborted).toBe(false);
  });

  it('sends nothing if aborted while waiting for a token', async () => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { client, sent, clock } = openClient({ answers: [promise] });
    clock.sleep(3_600_000);
    const controller = new AbortController();
    const call = errorOf(client.query('a', undefined, { signal: controller.signal }));
    await settled();
    controller.abort();
    isAbort(await call);
    resolve(granted({ generation: 2 }));
    await settled();
    expect(sent).toHaveLength(0);
  });

  it('AB-05 BA-09 cancels the attempt in flight', async () => {
    const { client, sent } = openClient();
    const controller = new AbortController();
    const call = errorOf(client.query('a', undefined, { signal: controller.signal }));
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    controller.abort();
    isAbort(await call);
    expect(sent[1]!.isCancelled()).toBe(true);
  });

  it('AB-08 does nothing afterwards', async () => {
    const { client, serve } = openClient();
    serve(renewedTokens);
    const controller = new AbortController();
    expect(await client.query('a', undefined, { signal: controller.signal })).toBe('a');
    controller.abort();
    await settled();
  });

  it('AB-07 leaves no listener on a signal that outlives a thousand operations', async () => {
    const { client, serve } = openClient();
    serve(renewedTokens);
    const { signal } = new AbortController();
    let listening = 0;
    const add = vi.spyOn(signal, 'addEventListener').mockImplementation(() => void listening++);
    const remove = vi.spyOn(signal, 'removeEventListener').mockImplementation(() => void listening--);
    await Promise.all(Array.from({ length: 1000 }, () => client.query('a', undefined, { signal })));
    expect(add).toHaveBeenCalledTimes(1000);
    expect(remove).toHaveBeenCalled();
    expect(listening).toBe(0);
  });
});

describe('the link', () => {
  it('SE-01 puts no token into the context, an error or the input', async () => {
    const { client, sent, serve } = openClient();
    serve(() => false);
    const error = await errorOf(client.query('a', { x: 1 }));
    const { context, input } = sent[1]!.op;
    const symbols = Object.getOwnPropertySymbols(context).map((key) => Reflect.get(context, key) as unknown);
    expect(JSON.stringify([context, symbols, input, error, error?.meta, error?.shape, String(error)])).not.toContain(
      'secret',
    );
    expect(symbols).toHaveLength(1);
  });

  it('leaves nothing behind after 10,000 operations', async () => {
    const { client, serve, browser, session, clock } = openClient();
    let good = 0;
    // Refused now and then, to cover every path.
    serve(() => ++good % 7 !== 0);
    const listen = vi.spyOn(session, 'subscribe');
    const before = browser.count();
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, 'addEventListener');
    const remove = vi.spyOn(signal, 'removeEventListener');
    for (let i = 0; i < 100; i++) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, n) => {
          if (n % 10 === 0) {
            const { unsubscribe } = watch(client, undefined, signal);
            await settled();
            unsubscribe();
          } else await errorOf(client.query(`q${n}`, undefined, { signal }));
        }),
      );
      await clock.advance(10_000);
    }
    expect(browser.count()).toEqual(before);
    expect(add.mock.calls.filter(([type]) => type === 'abort')).toHaveLength(10_000);
    expect(remove.mock.calls.length).toBeGreaterThanOrEqual(10_000);
    expect(listen).toHaveBeenCalledTimes(1000);
    // No subscriber is left.
    const after = vi.fn<() => void>();
    const stop = session.subscribe(after);
    void session.signOut();
    stop();
    expect(after).toHaveBeenCalledTimes(1);
    expect(browser.posted.length).toBeLessThan(10_000);
  });
});
