import { stopwatch, type SessionEnvironment } from './environment.ts';

/** The pause before something that failed is tried again. Doubles with each failure until a success. */
export function createBackoff(environment: SessionEnvironment, { baseMs, maxMs }: { baseMs: number; maxMs: number }) {
  let failures = 0;
  let pauseMs = 0;
  let orderedMs = 0;
  let lastCause: unknown;
  let ageMs = () => 0;

  return {
    /** Something has failed since the last success. */
    hasFailed: () => failures > 0,
    /** Of the last failure since then. */
    cause: () => lastCause,
    /** What is left of the pause, in whole milliseconds. */
    leftMs: () => Math.max(0, Math.ceil(Math.max(pauseMs, orderedMs) - ageMs())),
    /** @param retryAfterMs the shortest pause that the server asked for */
    fail(cause?: unknown, retryAfterMs = 0): void {
      // Jitter, so that tabs and browsers that failed together do not come back together.
      pauseMs = Math.min(maxMs, baseMs * 2 ** Math.min(failures++, 30)) * (0.5 + environment.random() / 2);
      orderedMs = retryAfterMs;
      lastCause = cause;
      ageMs = stopwatch(environment);
    },
    /** Ends the pause early. The next one grows all the same. */
    skip({ unlessOrdered = false } = {}): void {
      pauseMs = 0;
      if (!unlessOrdered) orderedMs = 0;
    },
    /** After a success. */
    reset(): void {
      failures = pauseMs = orderedMs = 0;
      lastCause = undefined;
    },
  };
}
