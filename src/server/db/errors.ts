/**
 * The database cannot be used right now: it is locked, full, read-only or gone. The statement has changed nothing, or, where
 * the connection to PostgreSQL broke before the answer came, perhaps everything that it should.
 */
export class DatabaseUnavailable extends Error {
  override name = 'DatabaseUnavailable';
}

/**
 * Whether the database is to blame for an error, whichever engine it is. The driver throws DatabaseUnavailable for verbs and
 * for a feature's own queries alike; this also finds it where Drizzle or tRPC has wrapped it.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  // Nothing keeps an error from being, further down, its own cause.
  const seen = new Set<Error>();
  for (let cause = error; cause instanceof Error && !seen.has(cause); cause = cause.cause) {
    if (cause instanceof DatabaseUnavailable) return true;
    seen.add(cause);
  }
  return false;
}
