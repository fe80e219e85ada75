import { session } from '../api/client.ts';

/** Milliseconds until the access token expires, not positive once it has; undefined while there is none. */
export const tokenExpiresInMs = (): number | undefined =>
  (session as { tokenExpiresInMs?: () => number | undefined } & typeof session).tokenExpiresInMs?.();
