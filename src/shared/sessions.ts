/** A session as people see it. Dates are ISO 8601 in UTC. */
export interface SessionSummary {
  /** Not secret: each browser knows that of its own session, and it opens nothing. */
  id: string;
  /** In words: `Firefox on Windows`. */
  device: string;
  ip: string | null;
  createdAt: string;
  lastSeenAt: string;
}
