import type { Settings } from '../env.ts';
import type { Mailbox } from './mailbox.ts';
import { createOutbox, type Outbox } from './outbox.ts';

export interface Mail {
  outbox: Outbox;
  /** Where mail is not sent, but kept in memory. */
  mailbox: Mailbox | undefined;
}

type Dependencies = Omit<Parameters<typeof createOutbox>[0], 'mailer'>;

/** @returns what delivers mail, which does nothing before `outbox.start` */
export async function openMail(settings: NonNullable<Settings['mail']>, dependencies: Dependencies): Promise<Mail> {
  // Each is loaded only where it is used.
  if (settings.kind === 'smtp') {
    const { smtpMailer } = await import('./smtp.ts');
    return { outbox: createOutbox({ ...dependencies, mailer: smtpMailer(settings) }), mailbox: undefined };
  }
  const { createMailbox } = await import('./mailbox.ts');
  const mailbox = createMailbox();
  return { outbox: createOutbox({ ...dependencies, mailer: mailbox }), mailbox };
}
