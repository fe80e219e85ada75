import type { Mail } from '../mail/mail.ts';
import type { Message } from '../mail/mailer.ts';

/** Only catches mail that is never written: delivering takes milliseconds. */
const NO_MAIL_TIMEOUT_MS = 30_000;

export interface DeliveredMail extends Message {
  /** The single-use link in it, as its reader finds it. */
  link: string | undefined;
}

/** The mail that a world has delivered. */
export interface TestOutbox {
  /** The first delivered first. */
  mails(): DeliveredMail[];
  /** The next mail to an address that no call has returned yet; waits for it. @param to an email address */
  next(to: string): Promise<DeliveredMail>;
  /** Resolves once everything that is due has been delivered. To prove that there is no mail, await this first. */
  settled(): Promise<void>;
}

export function testOutbox(mail: Mail | undefined): TestOutbox {
  const returned = new Set<string>();
  const mails = () => (mail?.mailbox?.messages() ?? []).toReversed().map(withLink);
  return {
    mails,
    async next(to) {
      const timeout = AbortSignal.timeout(NO_MAIL_TIMEOUT_MS);
      for (;;) {
        const found = mails().find((message) => message.to === to && !returned.has(message.id));
        if (found !== undefined) {
          returned.add(found.id);
          return found;
        }
        if (timeout.aborted || mail?.mailbox === undefined) {
          const others = mails().map((message) => `${message.template} to ${message.to}`);
          throw new Error(`No further mail to ${to}. Delivered: ${others.join(', ') || 'none'}`);
        }
        await mail.mailbox.nextMessage(timeout);
      }
    },
    settled: async () => mail?.outbox.settled(),
  };
}

function withLink(message: Message): DeliveredMail {
  return { ...message, link: /^https?:\S+#token=\S+$/m.exec(message.text)?.[0] };
}
