/** A dead connection must not leave a form busy forever. */
const TIMEOUT_MS = 30_000;

/** Options of a call that a form waits for. */
export const bounded = () => ({ signal: AbortSignal.timeout(TIMEOUT_MS) });
