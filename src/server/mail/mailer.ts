/** A mail as its reader gets it. */
export interface Message {
  /** The same however often it is sent. */
  id: string;
  template: string;
  /** An email address. */
  to: string;
  subject: string;
  text: string;
  html: string;
  /** When what it tells of happened. */
  date: Date;
}

/**
 * `refused`: the recipient's address is, for good. `failed`: another attempt may succeed, with this mail or with another.
 * `reason` is for the operator: it names no recipient, and has no token of a link.
 */
export type Sent = { kind: 'sent' } | { kind: 'refused' | 'failed'; reason: string };

/** A way to send mail. */
export interface Mailer {
  send(message: Message): Promise<Sent>;
  /** Breaks off what is being sent, which then fails. */
  close(): void;
}
