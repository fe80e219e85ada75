import { stopwatch, type SessionEnvironment } from './session-environment.ts';

/** The pause before trying again what could not be had. */
export interface Rest {
  /** Something has failed since it last worked. */
  readonly failed: boolean;
  /** Until it is over, in whole milliseconds. */
  leftMs(): number;
  /** After a failure: twice as long as after the one before, or what the server has asked for where that is longer. */
  afterFailure(orderedMs?: number): void;
  /** After something that worked and did not help. */
  short(): void;
  /** Ends it ahead of time. */
  skip(): void;
  /** The same, but not against what the server has asked for. */
  skipUnlessOrdered(): void;
  /** It works again. */
  forget(): void;
}

export function createRest(
  environment: SessionEnvironment,
  { baseMs, maxMs }: { baseMs: number; maxMs: number },
): Rest {
  let failures = 0;
  let isOrdered = false;
  let leftMs = () => 0;

  function begin(count: number, orderedMs = 0): void {
    // Jitter, so that the tabs and browsers that failed together do not come back together.
    const ms = Math.min(maxMs, baseMs * 2 ** Math.min(count, 30)) * (0.5 + environment.random() / 2);
    const ageMs = stopwatch(environment);
    isOrdered = orderedMs > 0;
    leftMs = () => Math.max(0, Math.ceil(Math.max(ms, orderedMs) - ageMs()));
  }

  const rest: Rest = {
    get failed() {
      return failures > 0;
    },
    leftMs: () => leftMs(),
    afterFailure: (orderedMs) => begin(failures++, orderedMs),
    short: () => begin(0),
    skip() {
      leftMs = () => 0;
    },
    skipUnlessOrdered() {
      if (!isOrdered) rest.skip();
    },
    forget() {
      failures = 0;
      rest.skip();
    },
  };
  return rest;
}
