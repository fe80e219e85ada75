import { createTransport } from 'nodemailer';
import { isLoopback } from '../env.ts';
import type { Mailer, Sent } from './mailer.ts';
import { MAX_SENDING } from './outbox.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** How long a server may be silent. Some look for viruses before they answer. */
const SILENCE_TIMEOUT_MS = 60_000;
/** For one mail, however steadily the server trickles. */
const SEND_TIMEOUT_MS = 2 * 60_000;
/** Shorter than that of servers, or the next mail might meet a connection that is just being closed. */
const IDLE_TIMEOUT_MS = 30_000;

/**
 * What a URL says, as options of nodemailer. Its own reader also takes options from the query.
 * @param url `smtp://user:password@host:port`, where the server must offer STARTTLS unless it is on this machine, or `smtps://`
 */
export function connectionOf(url: string) {
  const { protocol, hostname, port, username, password } = new URL(url);
  const secure = protocol === 'smtps:';
  const isLocal = isLoopback(hostname);
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    // RFC 8314, section 3.3, and RFC 6409, section 3.1.
    port: port === '' ? (secure ? 465 : 587) : Number(port),
    secure,
    // Without it, whoever is in between could remove the offer, and read passwords and links.
    requireTLS: !secure && !isLocal,
    // Nobody is in between, and no certificate is issued for localhost.
    ...(isLocal ? { tls: { rejectUnauthorized: false } } : {}),
    ...(username === '' ? {} : { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } }),
  };
}

/**
 * Sends mail by SMTP, over connections that are kept for a while.
 * @param options.from not as one text, of which a comma in the name would make two senders; `name` may be empty
 */
export function smtpMailer({ url, from }: { url: string; from: { name: string; address: string } }): Mailer {
  const transport = createTransport({
    ...connectionOf(url),
    pool: true,
    maxConnections: MAX_SENDING,
    // For a connection that the server closed while it was idle. All else is up to the outbox.
    maxRequeues: 1,
    idleTimeout: IDLE_TIMEOUT_MS,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    dnsTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  // Each mail that fails says so itself; without a listener, the event would end the process.
  transport.on('error', () => {});
  const domain = from.address.replace(/^.*@/, '');

  return {
    async send({ id, to, subject, text, html, date }): Promise<Sent> {
      if (!isAddress(to)) return { kind: 'refused', reason: 'not an email address' };
      try {
        await transport.sendMail({
          messageId: `<${id}@${domain}>`,
          from,
          // Not as text, of which a comma would make two recipients.
          to: { name: '', address: to },
          subject,
          text,
          html,
          date,
          // Or holiday notices would come back (RFC 3834, section 5).
          headers: { 'Auto-Submitted': 'auto-generated' },
          signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
        });
        return { kind: 'sent' };
      } catch (error) {
        return failure(error, to);
      }
    },
    close: () => transport.close({ force: true }),
  };
}

/** As registration accepts it: ASCII without spaces, and one recipient. */
const isAddress = (to: string) => /^[^\s@<>(),;:"[\]\\\p{C}]+@[^\s@<>(),;:"[\]\\\p{C}]+$/u.test(to);

interface SmtpError extends Error {
  code?: string;
  command?: string;
  response?: string;
  responseCode?: number;
}

function failure(error: unknown, to: string): Sent {
  if (!(error instanceof Error)) throw error;
  const { code, command, response, responseCode = 0, message }: SmtpError = error;
  const reason = (response ?? `${code ?? error.name}: ${message}`).replaceAll(/\s+/g, ' ');
  // 5.7.x is about us, the sender: to be put right, and no reason to give up on anybody (RFC 3463, section 3.8).
  const isFinal = command === 'RCPT TO' && responseCode >= 500 && !/^\d+[ -]5\.7\./.test(response ?? '');
  // Servers like to repeat the address, and a link that they block. The log and the audit keep neither.
  const kept = reason.replaceAll(to, 'the recipient').replaceAll(/#token=\S*/g, '#token=…');
  return { kind: isFinal ? 'refused' : 'failed', reason: kept };
}
