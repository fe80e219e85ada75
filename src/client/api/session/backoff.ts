import { stopwatch, type SessionEnvironment } from './environment.ts';

/** The pause before something that failed is tried again. */
export interface Backoff {
  /** Something has failed since the last success. */
  readonly failed: boolean;
  /** What is left of the pause, in whole milliseconds. */
  leftMs(): number;
  /** Starts a pause twice as long as the one before, or as long as the server asked for if that is longer. */
  afterFailure(orderedMs?: number): void;
  /** Ends the pause early, with `unlessOrdered` only if the server did not ask for it. The next one grows all the same. */
  skip(o?: { unlessOrdered: boolean }): void;
  /** After a success. */
  reset(): void;
}

export function createBackoff(
  environment: SessionEnvironment,
  { baseMs, maxMs }: { baseMs: number; maxMs: number },
): Backoff {
  let failures = 0;
  let isOrdered = false;
  let leftMs = () => 0;

  const backoff: Backoff = {
    get failed() {
      return failures > 0;
    },
    leftMs: () => leftMs(),
    afterFailure(orderedMs = 0) {
      // Jitter, so that tabs and browsers that failed together do not come back together.
      const ms = Math.min(maxMs, baseMs * 2 ** Math.min(failures++, 30)) * (0.5 + environment.random() / 2);
      const ageMs = stopwatch(environment);
      isOrdered = orderedMs > 0;
      leftMs = () => Math.max(0, Math.ceil(Math.max(ms, orderedMs) - ageMs()));
    },
    skip({ unlessOrdered } = { unlessOrdered: false }) {
      if (!unlessOrdered || !isOrdered) leftMs = () => 0;
    },
    reset() {
      failures = 0;
      backoff.skip();
    },
  };
  return backoff;
}
