import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { simpleParser, type ParsedMail } from 'mailparser';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export interface TestSmtpServer extends AsyncDisposable {
  port: number;
  /** Every mail that has been received as a whole, whether or not that has been confirmed. */
  received: readonly ParsedMail[];
  /** Resolves once that many mails have been received. */
  until(count: number): Promise<void>;
  /** Receives mails from now on, and confirms none: their senders wait. */
  hold(): void;
  /** Confirms the mails held, and those to come. */
  release(): void;
}

/** A real SMTP server on a free port of this machine. */
export async function smtpServer(options: SMTPServerOptions = {}): Promise<TestSmtpServer> {
  const received: ParsedMail[] = [];
  const emitter = new EventEmitter();
  let held: (() => void)[] | undefined;
  const server = new SMTPServer({
    authOptional: true,
    ...options,
    onData(stream, _session, done) {
      simpleParser(stream, (error: unknown, mail) => {
        if (error instanceof Error) return done(error);
        // One whose sender died in the middle of it is none.
        received.push(mail);
        if (held === undefined) done(null);
        else held.push(() => done(null));
        emitter.emit('mail');
      });
    },
  });
  // Of connections, whose senders are killed in tests.
  server.on('error', () => {});
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  function release(): void {
    const waiting = held ?? [];
    held = undefined;
    for (const confirm of waiting) confirm();
  }
  return {
    port,
    received,
    async until(count) {
      while (received.length < count) await once(emitter, 'mail');
    },
    hold: () => void (held ??= []),
    release,
    async [Symbol.asyncDispose]() {
      release();
      await new Promise<void>((resolve) => {
        server.close(resolve);
      });
    },
  };
}
