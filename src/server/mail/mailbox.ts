import { EventEmitter, once } from 'node:events';
import type { Mailer, Message } from './mailer.ts';

const MAX_MESSAGES = 100;

export interface Mailbox extends Mailer {
  /** The latest first. */
  messages(): readonly Message[];
  /** Resolves when the next mail has come, or when the signal aborts. */
  nextMessage(signal: AbortSignal): Promise<void>;
}

/** Keeps the last mails in memory instead of sending them: for development and tests. */
export function createMailbox(): Mailbox {
  const messages: Message[] = [];
  const emitter = new EventEmitter();
  return {
    messages: () => messages,
    async nextMessage(signal) {
      await once(emitter, 'message', { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    },
    async send(message) {
      messages.unshift(message);
      messages.length = Math.min(messages.length, MAX_MESSAGES);
      emitter.emit('message');
      return { kind: 'sent' };
    },
    close() {},
  };
}
