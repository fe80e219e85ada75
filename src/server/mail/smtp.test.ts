import type { SMTPServerOptions } from 'smtp-server';
import { describe, expect, it } from 'vitest';
import { smtpServer } from '../testing/smtp-server.ts';
import type { Message } from './mailer.ts';
import { connectionOf, smtpMailer } from './smtp.ts';

const message: Message = {
  id: 'a-stable-id',
  template: 'verify-email',
  to: 'ada@example.com',
  subject: 'Grüße, 世界',
  text: 'Text with ü\nhttps://app.example.com/verify-email#token=abc',
  html: '<p>HTML with ü</p>',
  date: new Date(Date.UTC(2030, 0, 1)),
};

async function send(url: string, changes: Partial<Message> = {}) {
  const mailer = smtpMailer({ url, from: { name: 'Schlüssel, Inc.', address: 'noreply@example.com' } });
  try {
    return await mailer.send({ ...message, ...changes });
  } finally {
    mailer.close();
  }
}

const refusing = (responseCode: number, text: string): SMTPServerOptions => ({
  onRcptTo: (_address, _session, done) => done(Object.assign(new Error(text), { responseCode })),
});

describe('Mail by SMTP', () => {
  it('arrives with its headers, its text and its HTML', async () => {
    await using server = await smtpServer();
    expect(await send(`smtp://127.0.0.1:${server.port}`)).toEqual({ kind: 'sent' });
    const mail = server.received[0]!;
    expect(mail.from?.value).toEqual([{ name: 'Schlüssel, Inc.', address: 'noreply@example.com' }]);
    expect(mail.to).toMatchObject({ value: [{ address: 'ada@example.com' }] });
    expect(mail.subject).toBe(message.subject);
    expect(mail.messageId).toBe('<a-stable-id@example.com>');
    expect(mail.date).toEqual(message.date);
    expect(mail.headers.get('auto-submitted')).toBe('auto-generated');
    expect(mail.text?.trim()).toBe(message.text);
    expect(mail.html).toContain(message.html);
  });

  it('logs in, over TLS from the start', async () => {
    const logins: unknown[] = [];
    await using server = await smtpServer({
      secure: true,
      authOptional: false,
      onAuth({ username, password }, _session, done) {
        logins.push([username, password]);
        done(null, { user: username });
      },
    });
    expect(await send(`smtps://ada:p%40ss@127.0.0.1:${server.port}`)).toEqual({ kind: 'sent' });
    expect(logins).toEqual([['ada', 'p@ss']]);
  });

  it('goes nowhere without TLS, unless the server is on this machine', async () => {
    await using server = await smtpServer({ hideSTARTTLS: true, disabledCommands: ['STARTTLS'] });
    // The same machine, by a name that is not known for it.
    expect(await send(`smtp://[::ffff:127.0.0.1]:${server.port}`)).toMatchObject({ kind: 'failed' });
    expect(server.received).toEqual([]);
    expect(await send(`smtp://127.0.0.1:${server.port}`)).toEqual({ kind: 'sent' });
  });

  it('goes nowhere where the certificate is not to be trusted', async () => {
    await using server = await smtpServer();
    expect(await send(`smtp://[::ffff:127.0.0.1]:${server.port}`)).toMatchObject({ kind: 'failed' });
    expect(server.received).toEqual([]);
  });

  it.each([
    [550, '5.1.1 <ada@example.com>: no such user', 'refused'],
    [550, '5.7.1 Relaying denied', 'failed'],
    [451, '4.7.1 Greylisted, come back later', 'failed'],
    [550, '5.7.1 Blocked: https://app.example.com/reset-password#token=eyJh.eyJz.c2ln', 'failed'],
  ])('is told of %i %s as %s, without the address and the token', async (code, text, kind) => {
    await using server = await smtpServer(refusing(code, text));
    const sent = await send(`smtp://127.0.0.1:${server.port}`);
    expect(sent).toMatchObject({ kind, reason: expect.stringContaining(String(code)) });
    expect(JSON.stringify(sent)).not.toMatch(/ada@|c2ln/);
  });

  it('fails where the server is down, and does not tell the password', async () => {
    const server = await smtpServer();
    await server[Symbol.asyncDispose]();
    const sent = await send(`smtp://ada:secret@127.0.0.1:${server.port}`);
    expect(sent).toMatchObject({ kind: 'failed' });
    expect(JSON.stringify(sent)).not.toContain('secret');
  });

  it.each(['ada@example.com\r\nBcc: eve@example.com', 'ada@example.com, eve@example.com', 'Ada <ada@example.com>', ''])(
    'refuses %j as an address',
    async (to) => {
      await using server = await smtpServer();
      expect(await send(`smtp://127.0.0.1:${server.port}`, { to })).toMatchObject({ kind: 'refused' });
      expect(server.received).toEqual([]);
    },
  );

  it('gets no header from a line break in its subject', async () => {
    await using server = await smtpServer();
    await send(`smtp://127.0.0.1:${server.port}`, { subject: 'Hello\r\nBcc: eve@example.com' });
    expect(server.received[0]?.headers.has('bcc')).toBe(false);
  });

  it.each([
    ['localhost', false],
    ['127.0.0.2', false],
    ['[::1]', false],
    // A server's resolver may ask the network for it.
    ['mail.localhost', true],
    ['localhost.example.com', true],
  ])('needs TLS to %s: %s', (host, requireTLS) => {
    expect(connectionOf(`smtp://${host}`)).toMatchObject({ requireTLS });
  });

  it('takes no option of nodemailer from the URL', () => {
    expect(connectionOf('smtp://mail.example.com?tls.rejectUnauthorized=false&ignoreTLS=true')).toEqual({
      host: 'mail.example.com',
      port: 587,
      secure: false,
      requireTLS: true,
    });
  });
});
