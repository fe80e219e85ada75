import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';

export interface Mail {
  to: string;
  subject: string;
  text: string;
}

export interface MailServer extends AsyncDisposable {
  /** For `startProduct`: makes it send its mail here. */
  settings: Record<string, string>;
  received: readonly Mail[];
  /** The first mail to `address`, received already or still to come, whose subject matches. */
  mailTo(address: string, subject: RegExp): Promise<Mail>;
}

/** Fails the test that waits for a mail in vain. */
const MAIL_TIMEOUT_MS = 30_000;

export async function mailServer(): Promise<MailServer> {
  const received: Mail[] = [];
  const arrivals = new EventEmitter();
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    // The server under test keeps its connections open.
    closeTimeout: 1,
    onData(stream, { envelope }, done) {
      const to = envelope.rcptTo.map(({ address }) => address).join();
      simpleParser(stream, (error: Error | null, mail) => {
        if (error !== null) return done(error);
        const { subject = '', text = '' } = mail;
        received.push({ to, subject, text });
        arrivals.emit('mail');
        done();
      });
    },
  });
  server.listen(0, 'localhost');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;

  return {
    settings: {
      MAIL_URL: `smtp://localhost:${port}`,
      MAIL_FROM: 'Latchkey <latchkey@example.com>',
      // Stories open only the path of a link: the port of their server is not known before it listens.
      APP_URL: 'https://latchkey.example',
    },
    received,
    async mailTo(address, subject) {
      const find = () => received.find((mail) => mail.to === address && subject.test(mail.subject));
      const signal = AbortSignal.timeout(MAIL_TIMEOUT_MS);
      for (let mail = find(); ; mail = find()) {
        if (mail !== undefined) return mail;
        await once(arrivals, 'mail', { signal }).catch((cause: unknown) => {
          const subjects = received.map(({ to, subject }) => `${to}: ${subject}`).join('\n');
          throw new Error(`No mail to ${address} about ${String(subject)}, only:\n${subjects}`, { cause });
        });
      }
    },
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(resolve));
    },
  };
}

/** The path of the link in a mail, with the token in its fragment. */
export function linkIn({ text }: Mail): string {
  const [, path] = /https:\/\/latchkey\.example(\/\S*#token=[\w.-]+)/.exec(text) ?? [];
  if (path === undefined) throw new Error(`No link in:\n${text}`);
  return path;
}

export const tokenIn = (mail: Mail): string => linkIn(mail).split('#token=')[1]!;
