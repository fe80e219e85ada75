import { TRPCClientError, type Operation, type TRPCLink } from '@trpc/client';
import type { AnyRouter } from '@trpc/server';
import { observable, type Unsubscribable } from '@trpc/server/observable';
import { isReusable } from './refresh-link.ts';
import type { Session } from './session/index.ts';
import { internalsOf } from './session/session.ts';

export interface StepUpLinkOptions {
  session: Session;
  /**
   * Lets the person prove again who they are, however many calls wait for it: opens a dialog, say.
   * @param signal is aborted once no call waits any more, or the session is over
   * @returns whether they did, and the server knows; false if they would rather not
   */
  reauthenticate(o: { signal: AbortSignal }): Promise<boolean>;
  /** Whether a refused call may open the question; it may always join one that is open. Default: any call may. */
  mayAsk?: (op: Operation) => boolean;
  /** Whether the server refused a call only because the last proof is too old. It must not have run anything. */
  isRefused?: (error: unknown) => boolean;
}

interface Question {
  answer: Promise<boolean>;
  /** How many calls wait for it. */
  held: number;
  controller: AbortController;
}

/**
 * Holds the queries and mutations that the server refuses with `reauthentication_required`, asks once for all of them, and then
 * sends each again, once. After a cancel each fails with its own error. Belongs before `refreshLink`, so that what is
 * sent again may be refreshed too.
 */
export function stepUpLink<TRouter extends AnyRouter>(options: StepUpLinkOptions): TRPCLink<TRouter> {
  const { session, reauthenticate, mayAsk = () => true, isRefused = requiresReauthentication } = options;
  const core = internalsOf(session);
  let question: Question | undefined;
  let answers = 0;
  let lastAnswer = false;

  function open(): Question {
    const controller = new AbortController();
    const { signal } = controller;
    const unsubscribe = session.subscribe(() => core.isOver() && controller.abort());
    const aborted = new Promise<false>((resolve) => signal.addEventListener('abort', () => resolve(false)));
    async function answered(): Promise<boolean> {
      try {
        const given = await Promise.race([(async () => reauthenticate({ signal }))(), aborted]);
        if (!signal.aborted) {
          answers++;
          lastAnswer = given;
        }
        return given;
      } finally {
        unsubscribe();
        if (question?.controller === controller) question = undefined;
      }
    }
    const answer = answered();
    // The calls that wait for it fail with what it threw.
    answer.catch(() => {});
    return { answer, held: 0, controller };
  }

  return () =>
    ({ op, next }) => {
      // A stream is refused when it opens, in the background; nobody has just asked for anything.
      if (op.type === 'subscription') return next(op);

      return observable((observer) => {
        type Failure = TRPCClientError<TRouter>;
        let isDone = false;
        let sending: Unsubscribable | undefined;
        let letGo: (() => void) | undefined;

        function stop(): void {
          isDone = true;
          op.signal?.removeEventListener('abort', abort);
          letGo?.();
          sending?.unsubscribe();
        }

        function fail(error: Failure): void {
          if (isDone) return;
          stop();
          observer.error(error);
        }

        // While it is held, no link below would notice.
        function abort(): void {
          fail(TRPCClientError.from(new DOMException('The operation was aborted.', 'AbortError')));
        }

        /** Resolves the error; never after a success. */
        function send(): Promise<Failure> {
          const { promise, resolve } = Promise.withResolvers<Failure>();
          const subscription = next(op).subscribe({
            next: (value) => observer.next(value),
            error: resolve,
            complete() {
              if (isDone) return;
              // Unsubscribing may complete on its own; done first, this is the only end.
              stop();
              observer.complete();
            },
          });
          if (isDone) subscription.unsubscribe();
          else sending = subscription;
          return promise;
        }

        async function ask(): Promise<boolean> {
          const mine = (question ??= open());
          mine.held++;
          letGo = () => {
            letGo = undefined;
            if (--mine.held > 0) return;
            // Not an answer: the next call that is refused asks again.
            if (question === mine) question = undefined;
            mine.controller.abort();
          };
          return mine.answer.finally(() => (letGo = undefined));
        }

        /** Resolves the error for the caller; never after a success. */
        async function run(): Promise<Failure> {
          const answersBefore = answers;
          const error = await send();
          if (isDone || !isRefused(error) || !isReusable(op.input) || core.isOver()) return error;
          // What was sent before the answer and is refused after it does not ask again.
          const isLate = answers > answersBefore;
          if (!isLate && question === undefined && !mayAsk(op)) return error;
          const isConfirmed = isLate ? lastAnswer : await ask();
          return isConfirmed && !isDone ? send() : error;
        }

        op.signal?.addEventListener('abort', abort, { once: true });
        void run()
          .catch((cause): Failure => TRPCClientError.from(cause as Error))
          .then(fail);
        return stop;
      });
    };
}

function requiresReauthentication(error: unknown): boolean {
  const { data } = (error ?? {}) as { data?: { failure?: { code?: unknown } | null } | null };
  return data?.failure?.code === 'reauthentication_required';
}
