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

/** The serial number of the token that an attempt was really sent with; 0: none. */
interface Stamp {
  serial: number;
}

/**
 * The stamp travels in the context, which survives the copies that batch links make of an operation. loggerLink prints the
 * context, so it must never hold a token.
 */
const STAMP = Symbol('stamp');
/** A stream that has stood for so long was accepted. `started` alone proves nothing: it comes before a refusal too. */
const HEALTHY_MS = 5_000;
/** How often in a row an event before that counts as well: a server may refuse after every first event. */
const EARLY_EVENTS_MAX = 20;
/** JSON-RPC 2.0 code of UNAUTHORIZED in tRPC; survives an error formatter that drops `data`. */
const UNAUTHORIZED = -32001;

const stampOf = (op: Operation) => (op.context as { [STAMP]?: Stamp })[STAMP];
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
        let sent: Stamp = { serial: 0 };
        let isDone = false;
        let refreshes = 0;
        let turn = 0;
        let current: Unsubscribable | undefined;
        let isDeciding = false;
        let stopListening: (() => void) | undefined;
        let stopWaiting: (() => void) | undefined;
        let lastEventId: string | undefined;
        let stoodMs: (() => number) | undefined;
        let hasDelivered = false;
        let earlyEvents = 0;

        function stop(): void {
          if (isDone) return;
          isDone = true;
          op.signal?.removeEventListener('abort', abort);
          stopListening?.();
          stopWaiting?.();
          current?.unsubscribe();
        }

        function fail(error: Failure): void {
          if (isDone) return;
          stop();
          observer.error(error);
        }

        // The links below notice an abort only while they are sending, and in a batch not even then.
        function abort(): void {
          fail(TRPCClientError.from(new DOMException('The operation was aborted.', 'AbortError')));
        }

        function attempt(): void {
          const mine = ++turn;
          const isLive = () => !isDone && mine === turn;
          sent = { serial: 0 };
          stoodMs = undefined;
          hasDelivered = false;
          isDeciding = false;
          try {
            const subscription = next({
              ...op,
              input: resumed(op.input, lastEventId),
              context: { ...op.context, [STAMP]: sent },
            }).subscribe({
              next(envelope) {
                if (!isLive()) return;
                const { result } = envelope;
                if (result.type === 'started') stoodMs ??= core.stopwatch();
                if (result.type === undefined || result.type === 'data') {
                  hasDelivered = true;
                  if (result.id !== undefined) lastEventId = result.id;
                }
                observer.next(envelope);
              },
              error(error) {
                if (isLive()) void decide(error);
              },
              complete() {
                if (!isLive()) return;
                stop();
                observer.complete();
              },
            });
            current = subscription;
            if (!isLive()) subscription.unsubscribe();
          } catch (cause) {
            // Thrown while subscribing after a wait: in a promise nobody would see it.
            fail(TRPCClientError.from(cause as Error));
          }
        }

        async function decide(error: Failure): Promise<void> {
          isDeciding = true;
          let verdict: 'again' | Failure;
          try {
            verdict = await judge(error);
          } catch (cause) {
            verdict = TRPCClientError.from(cause as Error);
          }
          if (isDone) return;
          if (verdict === 'again') attempt();
          else fail(verdict);
        }

        /** Returns the error for the caller, or that the operation is to be sent again. */
        async function judge(error: Failure): Promise<'again' | Failure> {
          const failure = failureOf(error);
          const isSessionEnded = failure?.code === 'session_ended';
          if (!isSessionEnded && !isUnauthorized(error)) return error;
          if (core.isOver()) return marked(error, 'ended');
          if (isSessionEnded) {
            // Only an operation that carried the token of this page says anything about its session.
            if (sent.serial > 0 && session.state.status === 'signed-in')
              session.ended(failure.reason as SessionEndReason, session.state.session.id);
            return marked(error, 'ended');
          }
          if (countsAsHealthy()) refreshes = 0;
          if (refreshes >= maxRefreshes) {
            if (refreshes > 0) core.refusedAgain(sent.serial);
            return marked(error, 'exhausted');
          }
          if (!canReplay({ op, error })) {
            // Not sent again, but the calls after it need not be refused too.
            void core.renew(sent.serial);
            return marked(error, 'exhausted');
          }
          refreshes++;
          connecting(error);
          const renewal = await renewed();
          switch (renewal.kind) {
            case 'ready':
              return 'again';
            case 'unavailable':
              return unavailableError(renewal);
            case 'ended':
            case 'disposed':
              return marked(error, 'ended');
          }
        }

        /** Whether the refused attempt had been accepted before. An early event proves it too, but only so often in a row. */
        function countsAsHealthy(): boolean {
          // Half a lifetime, for tokens so short-lived that a good stream never stands longer.
          const enoughMs = Math.min(HEALTHY_MS, core.lifetimeMs() / 2);
          const hasStood = stoodMs !== undefined && stoodMs() >= enoughMs;
          if (hasStood) earlyEvents = 0;
          return hasStood || (hasDelivered && ++earlyEvents <= EARLY_EVENTS_MAX);
        }

        /** A call is told that the session is unavailable; a stream has nobody to tell and waits until it is available. */
        async function renewed(): Promise<Renewal> {
          for (;;) {
            const renewal = await core.renew(sent.serial);
            if (!isSubscription || renewal.kind !== 'unavailable' || isDone) return renewal;
            connecting(unavailableError(renewal));
            await new Promise<void>((resolve) => (stopWaiting = core.onceRenewed(resolve)));
          }
        }

        function connecting(error: Failure): void {
          if (isSubscription && !isDone) observer.next({ result: { type: 'state', state: 'connecting', error } });
        }

        async function waitForToken(): Promise<void> {
          isDeciding = true;
          const renewal = await renewed();
          if (isDone) return;
          if (renewal.kind === 'unavailable') fail(unavailableError(renewal));
          else if (renewal.kind === 'disposed') fail(new TRPCClientError('The session was disposed of.'));
          // Without a session it is sent without a token: only the server knows what guests may ask.
          else attempt();
        }

        if (op.signal?.aborted) {
          queueMicrotask(abort);
          return stop;
        }
        op.signal?.addEventListener('abort', abort, { once: true });
        if (isSubscription) {
          stopListening = session.subscribe(() => {
            if (isDeciding || sent.serial === 0 || !core.isOver()) return;
            // Unsubscribing below may complete on its own; done first, this is the only end.
            stop();
            observer.complete();
          });
        }
        if (core.needsRenewal()) void waitForToken();
        else attempt();
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
    for (const stamp of opList.map(stampOf)) if (stamp) stamp.serial = bearer?.serial ?? 0;
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

/** A stream is consumed by sending it. */
function isReusable(input: unknown): boolean {
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
