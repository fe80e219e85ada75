import type { Operation } from '@trpc/client';

/** The open question who is there. */
export interface Question {
  answer(isConfirmed: boolean): void;
}

let question: Question | undefined;
/** The person has cancelled, and has not touched the page since. */
let hasDeclined = false;
const listeners = new Set<() => void>();

function show(next: Question | undefined): void {
  question = next;
  for (const listener of listeners) listener();
}

function decline(): void {
  hasDeclined = true;
  const touched = new AbortController();
  for (const type of ['pointerdown', 'keydown'])
    document.addEventListener(
      type,
      () => {
        hasDeclined = false;
        touched.abort();
      },
      { capture: true, signal: touched.signal },
    );
}

/** Asks the person to prove again who they are: the options of the step-up link, and the store that the dialog shows. */
export const reauthentication = {
  /** Undefined while there is nothing to ask. */
  question: (): Question | undefined => question,

  /** Returns a function that unsubscribes. */
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },

  reauthenticate: ({ signal }: { signal: AbortSignal }): Promise<boolean> =>
    new Promise((resolve) => {
      // No dialog is on this page.
      if (listeners.size === 0 || signal.aborted) return resolve(false);
      const settle = (isConfirmed: boolean) => {
        if (question !== mine) return;
        show(undefined);
        resolve(isConfirmed);
      };
      const mine: Question = {
        answer(isConfirmed) {
          if (question === mine && !isConfirmed) decline();
          settle(isConfirmed);
        },
      };
      signal.addEventListener('abort', () => settle(false));
      show(mine);
    }),

  /**
   * Somebody waits for a mutation. A query may be refetched in the background again and again: after a cancel, it asks only once
   * the person has done something.
   */
  mayAsk: ({ type }: Operation): boolean => type === 'mutation' || !hasDeclined,
};
