import { TRPCUntypedClient } from '@trpc/client';
import type { AnyRouter } from '@trpc/server';
import { describe, expect, it, vi } from 'vitest';
import { authHeaders, refreshLink } from './refresh-link.ts';
import { stepUpLink, type StepUpLinkOptions } from './step-up-link.ts';
import { settled } from './testing/fake-browser.ts';
import { endingLink, grantOf, refusal, type Sent } from './testing/fake-server.ts';
import { errorOf, expired, renewedTokens, watch } from './testing/open-client.ts';
import { granted, openTab } from './testing/open-tab.ts';

const tooOld = () => refusal({ code: 'reauthentication_required' }, 'FORBIDDEN');

/** A client whose server refuses each call until somebody has proved who they are. Questions wait in `asked`. */
function openClient({ signedIn = true, ...link }: Partial<StepUpLinkOptions> & { signedIn?: boolean } = {}) {
  const opened = openTab({ answers: [granted({ generation: 2 })] });
  const { session } = opened;
  if (signedIn) session.signIn(grantOf());
  const server = { isProved: false, needsRenewedToken: false };
  const sent: Sent[] = [];
  let hold = false;
  const asked: { answer: (isConfirmed: boolean) => void; fail: (error: Error) => void; signal: AbortSignal }[] = [];

  function answer(call: Sent): void {
    if (server.needsRenewedToken && !renewedTokens(call.authorization)) return call.fail(refusal(expired));
    if (!server.isProved) return call.fail(tooOld());
    call.next(call.op.path);
    call.complete();
  }
  const reauthenticate = vi.fn<StepUpLinkOptions['reauthenticate']>(
    ({ signal }) =>
      new Promise((resolve, reject) => {
        asked.push({
          signal,
          fail: reject,
          answer(isConfirmed) {
            server.isProved ||= isConfirmed;
            resolve(isConfirmed);
          },
        });
      }),
  );
  const ending = endingLink(authHeaders(session), (call) => {
    sent.push(call);
    if (!hold) answer(call);
  });
  const client = new TRPCUntypedClient<AnyRouter>({
    links: [stepUpLink({ session, reauthenticate, ...link }), refreshLink({ session }), ending],
  });
  return {
    ...opened,
    client,
    server,
    sent,
    asked,
    reauthenticate,
    answer,
    paths: () => sent.map(({ op }) => op.path),
    /** From now on, calls wait in `sent` for `answer`. */
    holdAnswers: () => (hold = true),
    /** From now on, and what is held. */
    async releaseAnswers() {
      hold = false;
      await settled();
    },
  };
}

describe('a call that needs a recent proof', () => {
  it.each(['query', 'mutation'] as const)('asks, and sends a refused %s again', async (type) => {
    const { client, asked, sent } = openClient();
    const call = client[type]('secret', { of: 'ann' });
    await settled();
    expect(asked).toHaveLength(1);
    asked[0]!.answer(true);
    expect(await call).toBe('secret');
    expect(sent.map(({ op }) => op.input)).toEqual([{ of: 'ann' }, { of: 'ann' }]);
  });

  it('asks once for any number of calls, and sends each again once', async () => {
    const { client, asked, paths } = openClient();
    const calls = ['a', 'b', 'c'].map((path) => client.mutation(path));
    await settled();
    const late = client.query('d');
    await settled();
    expect(asked).toHaveLength(1);
    asked[0]!.answer(true);
    expect(await Promise.all([...calls, late])).toEqual(['a', 'b', 'c', 'd']);
    expect(paths().toSorted()).toEqual(['a', 'a', 'b', 'b', 'c', 'c', 'd', 'd']);
  });

  it('lets other calls pass meanwhile, and other errors', async () => {
    const { client, asked, sent, holdAnswers } = openClient();
    const held = client.mutation('held');
    await settled();
    holdAnswers();
    const others = [client.query('fine'), errorOf(client.query('broken'))];
    await settled();
    sent[1]!.next('yes');
    sent[1]!.complete();
    const mine = refusal({ code: 'forbidden' }, 'FORBIDDEN');
    sent[2]!.fail(mine);
    expect(await Promise.all(others)).toEqual(['yes', mine]);
    asked[0]!.answer(false);
    await errorOf(held);
    expect(asked).toHaveLength(1);
  });

  it('fails with its own error after a cancel, and asks again next time', async () => {
    const { client, asked, paths } = openClient();
    const calls = [errorOf(client.mutation('a')), errorOf(client.mutation('b'))];
    await settled();
    asked[0]!.answer(false);
    for (const error of await Promise.all(calls))
      expect(error?.data).toMatchObject({ failure: { code: 'reauthentication_required' } });
    expect(paths()).toEqual(['a', 'b']);
    const again = client.mutation('a');
    await settled();
    asked[1]!.answer(true);
    expect(await again).toBe('a');
  });

  it.each([
    [true, 'sent again'],
    [false, 'failed'],
  ])('answered %s, a call refused after the answer is %s without another question', async (isConfirmed) => {
    const { client, asked, sent, answer, server, holdAnswers, releaseAnswers } = openClient();
    holdAnswers();
    const first = client.mutation('first').catch(() => 'failed');
    const late = client.mutation('late').catch(() => 'failed');
    await settled();
    answer(sent[0]!);
    await settled();
    asked[0]!.answer(isConfirmed);
    await settled();
    sent[1]!.fail(tooOld());
    await releaseAnswers();
    if (isConfirmed) for (const call of sent.slice(2)) answer(call);
    expect(await Promise.all([first, late])).toEqual(isConfirmed ? ['first', 'late'] : ['failed', 'failed']);
    expect(asked).toHaveLength(1);
    expect(server.isProved).toBe(isConfirmed);
  });

  it('is not asked about twice: a proof that the server does not accept is the error of the call', async () => {
    const { client, asked, sent, server } = openClient();
    const call = errorOf(client.mutation('secret'));
    await settled();
    asked[0]!.answer(true);
    server.isProved = false;
    expect((await call)?.data).toMatchObject({ failure: { code: 'reauthentication_required' } });
    expect(sent).toHaveLength(2);
    expect(asked).toHaveLength(1);
  });

  it('is refreshed when it is sent again, like any other', async () => {
    const { client, asked, server, refresh, paths } = openClient();
    const call = client.mutation('secret');
    await settled();
    server.needsRenewedToken = true;
    asked[0]!.answer(true);
    expect(await call).toBe('secret');
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(paths()).toEqual(['secret', 'secret', 'secret']);
  });

  it('fails with what the app throws', async () => {
    const { client, asked } = openClient();
    const call = errorOf(client.mutation('secret'));
    await settled();
    asked[0]!.fail(new Error('No dialog.'));
    expect((await call)?.message).toBe('No dialog.');
    const reauthenticate = vi.fn<StepUpLinkOptions['reauthenticate']>(() => {
      throw new Error('No dialog.');
    });
    const sync = openClient({ reauthenticate });
    for (const path of ['a', 'b']) expect((await errorOf(sync.client.mutation(path)))?.message).toBe('No dialog.');
    expect(reauthenticate).toHaveBeenCalledTimes(2);
  });

  it('is not sent again if sending has consumed its input', async () => {
    const { client, reauthenticate } = openClient();
    const error = await errorOf(client.mutation('upload', new ReadableStream()));
    expect(error?.data).toMatchObject({ failure: { code: 'reauthentication_required' } });
    expect(reauthenticate).not.toHaveBeenCalled();
  });
});

describe('the end of waiting', () => {
  it('comes with the end of the session: calls fail, and the question is withdrawn', async () => {
    const { client, asked, session, sent } = openClient();
    const calls = [errorOf(client.mutation('a')), errorOf(client.query('b'))];
    await settled();
    session.ended('revoked', 's1');
    for (const error of await Promise.all(calls))
      expect(error?.data).toMatchObject({ failure: { code: 'reauthentication_required' } });
    expect(asked[0]!.signal.aborted).toBe(true);
    asked[0]!.answer(true);
    await settled();
    expect(sent).toHaveLength(2);
  });

  it('comes with an abort, at once; the question stays for the others', async () => {
    const { client, asked, sent } = openClient();
    const controller = new AbortController();
    const aborted = errorOf(client.mutation('a', undefined, { signal: controller.signal }));
    const other = client.mutation('b');
    await settled();
    controller.abort();
    expect((await aborted)?.cause?.name).toBe('AbortError');
    expect(asked[0]!.signal.aborted).toBe(false);
    asked[0]!.answer(true);
    expect(await other).toBe('b');
    expect(sent.map(({ op }) => op.path)).toEqual(['a', 'b', 'b']);
  });

  it('withdraws the question with the last call, which is no answer for the next', async () => {
    const { client, asked } = openClient();
    const controller = new AbortController();
    const call = errorOf(client.query('a', undefined, { signal: controller.signal }));
    await settled();
    controller.abort();
    await call;
    expect(asked[0]!.signal.aborted).toBe(true);
    const next = client.query('b');
    await settled();
    expect(asked).toHaveLength(2);
    asked[1]!.answer(true);
    expect(await next).toBe('b');
  });
});

describe('a question that nobody waits for any more', () => {
  it('is no answer for a call that is refused at that moment', async () => {
    const { client, asked, sent, answer, holdAnswers, releaseAnswers } = openClient();
    holdAnswers();
    const controller = new AbortController();
    const aborted = errorOf(client.query('a', undefined, { signal: controller.signal }));
    const late = client.mutation('b');
    await settled();
    answer(sent[0]!);
    await settled();
    controller.abort();
    answer(sent[1]!);
    await aborted;
    await releaseAnswers();
    expect(asked).toHaveLength(2);
    asked[1]!.answer(true);
    expect(await late).toBe('b');
  });
});

describe('who is not asked', () => {
  it('a guest', async () => {
    const { client, session, reauthenticate } = openClient({ signedIn: false });
    await session.start();
    expect((await errorOf(client.query('a')))?.data).toMatchObject({ failure: { code: 'reauthentication_required' } });
    expect(reauthenticate).not.toHaveBeenCalled();
  });

  it('nobody, for a subscription', async () => {
    const { client, reauthenticate } = openClient();
    const { seen } = watch(client);
    await settled();
    expect(seen.errors).toHaveLength(1);
    expect(reauthenticate).not.toHaveBeenCalled();
  });

  it('nobody, for what may not ask; but it joins a question that is open', async () => {
    const { client, asked } = openClient({ mayAsk: ({ type }) => type === 'mutation' });
    const alone = await errorOf(client.query('a'));
    expect(alone?.data).toMatchObject({ failure: { code: 'reauthentication_required' } });
    expect(asked).toHaveLength(0);
    const calls = [client.mutation('b'), client.query('c')];
    await settled();
    asked[0]!.answer(true);
    expect(await Promise.all(calls)).toEqual(['b', 'c']);
  });
});
