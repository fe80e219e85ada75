import { TRPCClientError, type Operation, type TRPCLink } from '@trpc/client';
import type { AnyRouter } from '@trpc/server';
import { observable, type Unsubscribable } from '@trpc/server/observable';
import type { Session, SessionEndReason } from './session/index.ts';
import { internalsOf, unavailableDetails } from './session/session.ts';
import type { Renewal, UnavailableRenewal } from './session/types.ts';

export interface RefreshLinkOptions {
  session: Session;
  /** Operations that neither wait for the session nor carry its token. Default: `op.context.skipAuth === true`. */
  skip?: (op: Operation) => boolean;
  /** Whether a refresh may help against the error. */
  isUnauthorized?: (error: unknown) => boolean;
  /** Whether an operation that was refused may be sent again: whether it is certain that nothing was run. */
  canReplay?: (o: { op: Operation; error: unknown }) => boolean;
  /** Per query or mutation; per healthy period of a subscription. Default: 1. */
  maxRefreshes?: number;
}

/** One sending of an operation. */
interface Attempt {
  /** Number of the token that it was really sent with; 0: none. */
  tokenVersion: number;
  /** At least one event of a subscription has arrived. */
  hasDelivered: boolean;
}

/**
 * The attempt travels in the context, which survives the copies that batch links make of an operation. loggerLink prints the
 * context, so it must never hold a token.
 */
const ATTEMPT = Symbol('attempt');
/** How often in a row a stream is renewed that is refused after its first events: a server may do so for ever. */
const EARLY_EVENTS_MAX = 20;
/** JSON-RPC 2.0 code of UNAUTHORIZED in tRPC; survives an error formatter that drops `data`. */
const UNAUTHORIZED = -32001;

const attemptOf = (op: Operation) => (op.context as { [ATTEMPT]?: Attempt })[ATTEMPT];
const skipsAuth = (op: Operation) => op.context.skipAuth === true;

/**
 * Keeps operations authorized: holds them back while there is no usable token, and sends again, once, what was refused
 * because its token had expired. Belongs before the links that send, each of which takes `authHeaders`.
 */
export function refreshLink<TRouter extends AnyRouter>(options: RefreshLinkOptions): TRPCLink<TRouter> {
  const {
    session,
    skip = skipsAuth,
    isUnauthorized = refusesToken,
    canReplay = hadNoEffect,
    maxRefreshes = 1,
  } = options;
  const core = internalsOf(session);

  return () =>
    ({ op, next }) => {
      // In the context too, where authHeaders and splitLink look.
      if (skip(op)) return next({ ...op, context: { ...op.context, skipAuth: true } });

      return observable((observer) => {
        type Failure = TRPCClientError<TRouter>;
        const isSubscription = op.type === 'subscription';
        let isDone = false;
        /** The attempt in flight; undefined while the operation waits for a token. Events of any other are ignored. */
        let current: Attempt | undefined;
        let sending: Unsubscribable | undefined;
        let lastEventId: string | undefined;
        let stopListening: (() => void) | undefined;
        let stopWaiting: (() => void) | undefined;

        function stop(): void {
          if (isDone) return;
          isDone = true;
          current = undefined;
          op.signal?.removeEventListener('abort', abort);
          stopListening?.();
          stopWaiting?.();
          sending?.unsubscribe();
        }

        function fail(error: Failure | undefined): void {
          if (isDone || !error) return;
          stop();
          observer.error(error);
        }

        function complete(): void {
          // Unsubscribing may complete on its own; done first, this is the only end.
          stop();
          observer.complete();
        }

        // The links below notice an abort only while they are sending, and in a batch not even then.
        function abort(): void {
          fail(TRPCClientError.from(new DOMException('The operation was aborted.', 'AbortError')));
        }

        /** Sends the operation, again while a new token may help. Resolves the error for the caller; never after a success. */
        async function run(): Promise<Failure | undefined> {
          if (core.needsRenewal()) {
            const renewal = await renewed(0);
            if (renewal.kind === 'unavailable') return unavailableError(renewal);
            if (renewal.kind === 'disposed') return new TRPCClientError('The session was disposed of.');
            // Without a session it is sent without a token: only the server knows what guests may ask.
          }
          for (let refreshes = 0; ; refreshes++) {
            if (isDone) return undefined;
            const attempt: Attempt = { tokenVersion: 0, hasDelivered: false };
            const error = await send(attempt);
            const failure = failureOf(error);
            const isSessionEnded = failure?.code === 'session_ended';
            if (!isSessionEnded && !isUnauthorized(error)) return error;
            if (core.isOver()) return marked(error, 'ended');
            if (isSessionEnded) {
              // Only an operation that carried the token of this page says anything about its session.
              if (attempt.tokenVersion > 0 && session.state.status === 'signed-in')
                session.ended(failure.reason as SessionEndReason, session.state.session.id);
              return marked(error, 'ended');
            }
            // A stream that has outlived the youth of its token was accepted. `started` proves nothing: it comes before a
            // refusal too.
            if (isSubscription && !core.isFresh(attempt.tokenVersion)) refreshes = 0;
            const limit = maxRefreshes * (attempt.hasDelivered ? EARLY_EVENTS_MAX : 1);
            if (refreshes >= limit || !canReplay({ op, error })) {
              // Not sent again, but the calls after it need not be refused too.
              if (maxRefreshes > 0) void core.renew(attempt.tokenVersion, refreshes > 0);
              return marked(error, 'exhausted');
            }
            connecting(error);
            const renewal = await renewed(attempt.tokenVersion);
            if (renewal.kind === 'unavailable') return unavailableError(renewal);
            if (renewal.kind !== 'ready') return marked(error, 'ended');
          }
        }

        /** Resolves the error of the attempt; never if it succeeds, or if the operation has been stopped. */
        function send(attempt: Attempt): Promise<Failure> {
          const { promise, resolve } = Promise.withResolvers<Failure>();
          current = attempt;
          const context = { ...op.context, [ATTEMPT]: attempt };
          const subscription = next({ ...op, input: resumed(op.input, lastEventId), context }).subscribe({
            next(envelope) {
              if (current !== attempt) return;
              const { result } = envelope;
              if (result.type === undefined || result.type === 'data') {
                attempt.hasDelivered = true;
                lastEventId = result.id ?? lastEventId;
              }
              observer.next(envelope);
            },
            error(error) {
              if (current !== attempt) return;
              current = undefined;
              resolve(error);
            },
            complete() {
              if (current === attempt) complete();
            },
          });
          if (current === attempt) sending = subscription;
          else subscription.unsubscribe();
          return promise;
        }

        /** A call is told that the session is unavailable; a stream has nobody to tell and waits until it is available. */
        async function renewed(tokenVersion: number): Promise<Renewal> {
          for (;;) {
            const renewal = await core.renew(tokenVersion);
            if (!isSubscription || renewal.kind !== 'unavailable' || isDone) return renewal;
            connecting(unavailableError(renewal));
            await new Promise<void>((resolve) => (stopWaiting = core.onceRenewed(resolve)));
          }
        }

        function connecting(error: Failure): void {
          if (isSubscription && !isDone) observer.next({ result: { type: 'state', state: 'connecting', error } });
        }

        if (op.signal?.aborted) {
          queueMicrotask(abort);
          return stop;
        }
        op.signal?.addEventListener('abort', abort, { once: true });
        // A stream ends with the session that it was opened in.
        if (isSubscription)
          stopListening = session.subscribe(() => current?.tokenVersion && core.isOver() && complete());
        // What the app's functions or the links below throw fails the operation; what observers throw is theirs.
        void run()
          .catch((cause): Failure => TRPCClientError.from(cause as Error))
          .then(fail);
        return stop;
      });
    };
}

/**
 * The `headers` option of the links that send.
 * @returns a function from the operation, or the operations of a batch, to `{ authorization }`, or `{}` without a token
 */
export function authHeaders(session: Session): (o: { op?: Operation; opList?: Operation[] }) => Record<string, string> {
  const core = internalsOf(session);
  return ({ op, opList = op ? [op] : [] }) => {
    const bearer = opList.length > 0 && opList.every(skipsAuth) ? undefined : core.bearer();
    // Batch links ask for headers a task after they were handed the operation: this is the token that it travels with.
    for (const attempt of opList.map(attemptOf)) if (attempt) attempt.tokenVersion = bearer?.tokenVersion ?? 0;
    const headers: Record<string, string> = {};
    if (bearer) headers.authorization = `Bearer ${bearer.accessToken}`;
    return headers;
  };
}

/** Whether a call failed because its token could not be renewed. It was not run, so it may be sent again later. */
export function isUnavailable(error: unknown): boolean {
  return metaOf(error)?.refresh === 'unavailable';
}

/** The server looks for the id in an object, or where there is no input; anything else cannot be resumed. */
function resumed(input: unknown, lastEventId: string | undefined): unknown {
  if (lastEventId === undefined || Array.isArray(input) || typeof (input ?? {}) !== 'object') return input;
  return { ...(input as object | null | undefined), lastEventId };
}

interface ErrorLike {
  data?: { code?: unknown; failure?: { code?: unknown; reason?: unknown } | null } | null;
  shape?: { code?: unknown } | null;
  cause?: { code?: unknown; status?: unknown } | null;
  meta?: Record<string, unknown> | undefined;
}

const failureOf = (error: unknown) => (error as ErrorLike | null | undefined)?.data?.failure ?? undefined;
const metaOf = (error: unknown) => (error as ErrorLike | null | undefined)?.meta;
const isTokenFailure = (code: unknown) => typeof code === 'string' && code.startsWith('access_token_');

/** Never by the HTTP status alone: a batch answers 207, a stream 200. */
function refusesToken(error: unknown): boolean {
  const failure = failureOf(error);
  if (failure) return isTokenFailure(failure.code);
  const { data, shape, cause } = (error ?? {}) as ErrorLike;
  if (data?.code === 'UNAUTHORIZED' || shape?.code === UNAUTHORIZED) return true;
  // @trpc/client 11.19 makes the error event of an EventSource the shape, later versions the cause; its code is the status.
  if (shape) return shape.code === 401;
  const response = metaOf(error)?.response as { status?: unknown } | undefined;
  return response?.status === 401 || cause?.code === 401 || cause?.status === 401;
}

/** The server refuses a token before it runs anything; a bare 401 may come from a mutation that has half happened. */
function hadNoEffect({ op, error }: { op: Operation; error: unknown }): boolean {
  return isReusable(op.input) && (op.type !== 'mutation' || isTokenFailure(failureOf(error)?.code));
}

/** Whether an input can be sent twice: a stream is consumed by sending it. */
export function isReusable(input: unknown): boolean {
  return !(typeof input === 'object' && input !== null && (Symbol.asyncIterator in input || 'getReader' in input));
}

function unavailableError<TRouter extends AnyRouter>(renewal: UnavailableRenewal): TRPCClientError<TRouter> {
  const { message, ...details } = unavailableDetails(renewal);
  return new TRPCClientError(message, details);
}

/** Notes on the error, which stays the one that came up, why the link passes it on. */
function marked<TError extends Pick<ErrorLike, 'meta'>>(error: TError, refresh: 'exhausted' | 'ended'): TError {
  error.meta = { ...error.meta, refresh };
  return error;
}
