/** Why the server cannot start, in a sentence that says what to do. An operator needs no stack trace for it. */
export class StartupError extends Error {
  override name = 'StartupError';
}
