/** Why the server cannot start, in a sentence that tells the operator what to do. Printed without a stack trace. */
export class StartupError extends Error {
  override name = 'StartupError';
}
