import { TRPCUntypedClient, type TRPCClientError } from '@trpc/client';
import type { AnyRouter } from '@trpc/server';
import type { Failure } from '../../../shared/failures.ts';
import { authHeaders, refreshLink, type RefreshLinkOptions } from '../refresh-link.ts';
import { endingLink, grantOf, refusal, type Sent } from './fake-server.ts';
import { granted, openTab, type Answer } from './open-tab.ts';

export const expired: Failure = { code: 'access_token_expired' };

/**
 * A client in a tab where Ann is signed in with a token of generation 1. Each attempt waits in `sent` for a response.
 */
export function openClient({
  answers = [granted({ generation: 2 }), granted({ generation: 3 }), granted({ generation: 4 })],
  link,
  signedIn = true,
  ...options
}: Parameters<typeof openTab>[0] & {
  answers?: Answer[];
  link?: Partial<RefreshLinkOptions>;
  signedIn?: boolean;
} = {}) {
  const opened = openTab({ answers, ...options });
  const { session } = opened;
  if (signedIn) session.signIn(grantOf());
  const sent: Sent[] = [];
  let answer = (dispatch: Sent): void => void sent.push(dispatch);
  const ending = endingLink(authHeaders(session), (dispatch) => answer(dispatch));
  const make = () => new TRPCUntypedClient<AnyRouter>({ links: [refreshLink({ session, ...link }), ending] });
  return {
    ...opened,
    sent,
    client: make(),
    make,
    /** From now on, the server accepts tokens for which `accepts` returns true, and refuses everything else. */
    serve(accepts: (authorization: string | undefined) => boolean, failure: Failure | undefined = expired) {
      answer = (dispatch) => {
        sent.push(dispatch);
        if (!accepts(dispatch.authorization)) return dispatch.fail(refusal(failure));
        dispatch.next(dispatch.op.path);
        dispatch.complete();
      };
    },
  };
}

export const renewedTokens = (authorization: string | undefined) =>
  authorization !== undefined && !authorization.includes('secret-s1-1-');

export const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error as TRPCClientError<AnyRouter>,
  );

/** Subscribes and records events; a state with an error is marked with `!`. */
export function watch(client: TRPCUntypedClient<AnyRouter>, input?: unknown, signal?: AbortSignal) {
  const seen = {
    data: [] as unknown[],
    states: [] as string[],
    errors: [] as TRPCClientError<AnyRouter>[],
    completes: 0,
  };
  const { unsubscribe } = client.subscription('events', input, {
    ...(signal && { signal }),
    onData: (value: unknown) => seen.data.push(value),
    onConnectionStateChange: ({ state, error }) => seen.states.push(error ? `${state}!` : state),
    onError: (error) => seen.errors.push(error),
    onComplete: () => seen.completes++,
  });
  return { seen, unsubscribe };
}
