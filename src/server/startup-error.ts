/** Why the server cannot start, phrased for the operator. Printed without a stack trace. */
export class StartupError extends Error {
  override name = 'StartupError';
}
