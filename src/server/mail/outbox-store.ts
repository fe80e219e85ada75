/** A mail that waits to be sent. Times in milliseconds since the epoch. */
export interface OutboxRow {
  id: string;
  userId: string | null;
  recipient: string;
  template: string;
  data: Record<string, string>;
  linkId: string | null;
  createdAt: number;
  /** How often sending has been tried. */
  attempts: number;
  nextAttemptAt: number;
}

/** The outbox as the one who delivers it needs it. Writing to it is part of the verbs of AuthStore that cause mail. */
export interface OutboxStore {
  /**
   * Takes mails that are due, counts an attempt, and keeps others from taking them until `leaseUntil`: one that dies with them
   * leaves them to the next. Oldest first.
   */
  claim(options: { now: number; leaseUntil: number; limit: number }): Promise<OutboxRow[]>;
  /** Sent, or given up. Durable. */
  remove(id: string): Promise<void>;
  /**
   * Sets when a claimed mail is due again: soon, to give it back, or later, to keep it. Does nothing where it has been claimed
   * again since: that claim is somebody else's.
   */
  retryAt(claimed: Pick<OutboxRow, 'id' | 'attempts'>, at: number): Promise<void>;
}
