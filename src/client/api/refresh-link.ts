import { TRPCClientError, type HTTPHeaders, type Operation, type TRPCLink } from '@trpc/client';
import type { AnyRouter } from '@trpc/server';
import { observable, type Unsubscribable } from '@trpc/server/observable';
import { failureOf } from '../../shared/failures.ts';
import { disposedError, hadNoEffect, marked, refusesToken, unavailableError } from './link-errors.ts';
import { coreOf, type Renewal, type Stamp } from './session-core.ts';
import type { Session } from './session.ts';

export { isUnavailable } from './link-errors.ts';

export interface RefreshLinkOptions {
  session: Session;
  /** Operations that neither wait for the session nor carry its token. Default: `op.context.skipAuth === true`. */
  skip?: (op: Operation) => boolean;
  /** Whether a refresh may help. */
  isUnauthorized?: (error: unknown) => boolean;
  /** Whether an operation that was refused may be sent again, knowing that it had no effect. */
  canReplay?: (o: { op: Operation; error: unknown }) => boolean;
  /** Per query or mutation; per healthy period of a subscription. Default: 1. */
  maxRefreshes?: number;
}

/**
 * On the context of an operation: it survives the copies that batch links make. loggerLink prints the context, so it
 * may hold numbers and ids, never a token.
 */
const STAMP = Symbol('which token it was sent with');
/** A stream that has stood so long was accepted; `started` alone proves nothing, it comes before a refusal. */
const HEALTHY_MS = 5_000;
/** How often in a row an event that came before that proves it too: a server may refuse after every first event. */
const HASTY_MAX = 20;

const stampOf = (op: Operation): Stamp | undefined => (op.context as { [STAMP]?: Stamp })[STAMP];
const skipsAuth = (op: Operation): boolean => op.context.skipAuth === true;

/**
 * Keeps operations signed in: waits for a token where one is needed, and sends again, once, what was refused because its
 * token had expired. Belongs before the links that send, with `authHeaders` on each of those.
 */
export function refreshLink<TRouter extends AnyRouter>(options: RefreshLinkOptions): TRPCLink<TRouter> {
  const {
    session,
    skip = skipsAuth,
    isUnauthorized = refusesToken,
    canReplay = hadNoEffect,
    maxRefreshes = 1,
  } = options;
  const core = coreOf(session);

  return () =>
    ({ op, next }) => {
      // Said on the context too, where `authHeaders` looks.
      if (skip(op)) return next({ ...op, context: { ...op.context, skipAuth: true } });

      return observable((observer) => {
        type Failure = TRPCClientError<TRouter>;
        const isSubscription = op.type === 'subscription';
        /** Its epoch is that in which the operation began. */
        let sent = core.stamp();
        let over = false;
        let refreshes = 0;
        let turn = 0;
        let current: Unsubscribable | undefined;
        let deciding = false;
        let stopListening: (() => void) | undefined;
        let lastEventId: string | undefined;
        let stoodMs: (() => number) | undefined;
        let delivered = false;
        let hasty = 0;

        function stop(): void {
          if (over) return;
          over = true;
          op.signal?.removeEventListener('abort', abort);
          stopListening?.();
          current?.unsubscribe();
        }

        function fail(error: Failure): void {
          if (over) return;
          stop();
          observer.error(error);
        }

        // The links below notice an abort only while they are sending, and a batch not even then: the caller would wait.
        function abort(): void {
          fail(TRPCClientError.from(new DOMException('The operation was aborted.', 'AbortError')));
        }

        function attempt(): void {
          const mine = ++turn;
          const isLive = () => !over && mine === turn;
          sent = { ...core.stamp(), epoch: sent.epoch };
          stoodMs = undefined;
          delivered = false;
          deciding = false;
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
                  delivered = true;
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
            // Thrown while subscribing, after a wait: in a promise nobody would ever see it.
            fail(TRPCClientError.from(cause as Error));
          }
        }

        async function decide(error: Failure): Promise<void> {
          deciding = true;
          let verdict: 'again' | Failure;
          try {
            verdict = await judge(error);
          } catch (cause) {
            verdict = TRPCClientError.from(cause as Error);
          }
          if (over) return;
          if (verdict === 'again') attempt();
          else fail(verdict);
        }

        /** @returns what to tell the caller, or that the operation is to be sent again */
        async function judge(error: Failure): Promise<'again' | Failure> {
          const failure = failureOf(error);
          const { epoch, sessionId } = core.stamp();
          if (failure?.code !== 'session_ended' && !isUnauthorized(error)) return error;
          const isSignedOut = session.state.status === 'signed-out';
          // Of many calls that are told so at once, the first has ended the session; all were ended.
          if (failure?.code === 'session_ended' && isSignedOut) return marked(error, 'ended');
          if (sent.epoch !== epoch) return marked(error, 'superseded');
          if (failure?.code === 'session_ended') {
            if (sent.sessionId !== undefined && sent.sessionId === sessionId) session.ended(failure.reason, sessionId);
            return marked(error, 'ended');
          }
          if (isSignedOut) return marked(error, 'ended');
          if (countHealthy()) refreshes = 0;
          const isSpent = refreshes >= maxRefreshes;
          if (isSpent || !canReplay({ op, error })) {
            if (isSpent && refreshes > 0) core.refusedAgain(sent);
            return marked(error, 'exhausted');
          }
          refreshes++;
          connecting(error);
          const renewal = await renewed();
          switch (renewal.kind) {
            case 'ready':
              return core.stamp().epoch === sent.epoch ? 'again' : marked(error, 'superseded');
            case 'unavailable':
              return unavailableError(renewal);
            case 'ended':
              return marked(error, 'ended');
            case 'superseded':
            case 'disposed':
              return marked(error, 'superseded');
          }
        }

        /** Whether the attempt that was refused had been good before. An event proves that too, but only so often in a row. */
        function countHealthy(): boolean {
          // Half a lifetime, for tokens so short that a good stream never stands longer.
          const enoughMs = Math.min(HEALTHY_MS, core.lifetimeMs() / 2);
          const stood = stoodMs !== undefined && stoodMs() >= enoughMs;
          if (stood) hasty = 0;
          return stood || (delivered && ++hasty <= HASTY_MAX);
        }

        /** A stream has nobody to tell, so it waits until refreshing works again. */
        async function renewed(): Promise<Renewal> {
          for (;;) {
            const pending = core.renew(sent);
            const changed = core.changed();
            const renewal = await pending;
            if (!isSubscription || renewal.kind !== 'unavailable' || over) return renewal;
            connecting(unavailableError(renewal));
            await changed;
            if (over) return renewal;
          }
        }

        function connecting(error: Failure): void {
          if (isSubscription && !over) observer.next({ result: { type: 'state', state: 'connecting', error } });
        }

        async function wait(): Promise<void> {
          deciding = true;
          const renewal = await renewed();
          if (over) return;
          // Where there is no session it is sent without a token: only the server knows what may be asked without.
          // What began before anybody was known belongs to whoever came.
          if (renewal.kind === 'ended' || sent.sessionId === undefined) sent.epoch = core.stamp().epoch;
          if (renewal.kind === 'unavailable') fail(unavailableError(renewal));
          else if (renewal.kind === 'disposed') fail(disposedError());
          else attempt();
        }

        if (op.signal?.aborted) {
          queueMicrotask(abort);
          return stop;
        }
        op.signal?.addEventListener('abort', abort, { once: true });
        if (isSubscription) {
          stopListening = session.subscribe(() => {
            if (deciding || sent.sessionId === undefined || core.stamp().epoch === sent.epoch) return;
            // One person's stream is never shown to the next.
            stop();
            observer.complete();
          });
        }
        if (core.needsRenewal()) void wait();
        else attempt();
        return stop;
      });
    };
}

/**
 * The `headers` option of the links that send: the access token, where the operations may carry it.
 * @returns `authorization`, or nothing. For a batch nothing if one of its operations began before the person changed
 */
export function authHeaders(session: Session): (o: { op?: Operation; opList?: Operation[] }) => HTTPHeaders {
  const core = coreOf(session);
  return ({ op, opList = op ? [op] : [] }) => {
    const now = core.stamp();
    const token = core.accessToken();
    const stamps = opList.map(stampOf);
    const isAllowed =
      token !== undefined &&
      !(opList.length > 0 && opList.every(skipsAuth)) &&
      stamps.every((stamp) => stamp === undefined || stamp.epoch === now.epoch);
    // Batch links ask for headers a task after the operation was handed to them: this is the token it travels with.
    for (const stamp of stamps) {
      if (!stamp) continue;
      stamp.serial = isAllowed ? now.serial : 0;
      stamp.sessionId = isAllowed ? now.sessionId : undefined;
    }
    return isAllowed ? { authorization: `Bearer ${token}` } : {};
  };
}

/** The server looks for the id in an object, or where there is no input; anything else cannot be resumed. */
function resumed(input: unknown, lastEventId: string | undefined): unknown {
  if (lastEventId === undefined || Array.isArray(input) || typeof (input ?? {}) !== 'object') return input;
  return { ...(input as object | null | undefined), lastEventId };
}
