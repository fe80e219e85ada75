import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import express from 'express';
import { describe, expect, it } from 'vitest';
import { createMailbox } from './mailbox.ts';
import type { Message } from './mailer.ts';
import { mailboxPages } from './mailbox-pages.ts';

const LINK = 'https://app.example.com/verify-email#token=abc&amp;';
const mail = (id: string, changes: Partial<Message> = {}): Message => ({
  id,
  template: 'verify-email',
  to: `${id}@example.com`,
  subject: `Hello <b>${id}</b>`,
  text: `Open <this>:\n${LINK}`,
  html: `<!doctype html><html><head><title>t</title></head><body><a href="${LINK}">Confirm</a></body></html>`,
  date: new Date(Date.UTC(2030, 0, 1)),
  ...changes,
});

async function setUp(...mails: Message[]) {
  const mailbox = createMailbox();
  for (const message of mails) await mailbox.send(message);
  const server = express().use('/dev/mail', mailboxPages(mailbox)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    async get(path: string, host = `localhost:${port}`) {
      const outgoing = request({ host: '127.0.0.1', port, path: `/dev/mail${path}`, headers: { host } }).end();
      const [response] = await once(outgoing, 'response');
      const policy = String(response.headers['content-security-policy']);
      return { status: response.statusCode as number, headers: response.headers, policy, body: await text(response) };
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

describe('The mailbox of development', () => {
  it('lists the mails, the latest first', async () => {
    await using pages = await setUp(mail('first'), mail('second'));
    const { status, body, policy, headers } = await pages.get('/');
    expect(status).toBe(200);
    expect(body.match(/\/dev\/mail\/\w+/g)).toEqual(['/dev/mail/second', '/dev/mail/first']);
    expect(body).toContain('second@example.com');
    expect(body).not.toContain('<b>');
    expect(policy).toContain("default-src 'none'");
    expect(headers['cache-control']).toBe('no-store');
  });

  it('says that there is no mail yet', async () => {
    await using pages = await setUp();
    expect((await pages.get('/')).body).toContain('No mail yet.');
  });

  it('shows the text of a mail with its link, and its HTML in a frame without scripts', async () => {
    await using pages = await setUp(mail('ada'));
    const { body, policy } = await pages.get('/ada');
    expect(body).toContain('Open &#60;this&#62;:');
    expect(body).toContain('<a href="https://app.example.com/verify-email#token=abc&#38;amp;">');
    expect(body).not.toContain('<b>');
    const [frame = ''] = /<iframe[^>]*>/.exec(body) ?? [];
    expect(frame).toContain('src="/dev/mail/ada/html"');
    expect(frame).toContain('sandbox="allow-popups allow-popups-to-escape-sandbox"');
    expect(policy).not.toContain('unsafe');
    expect(policy).not.toContain('script-src');
  });

  it('serves the HTML as it was sent, but for where its links open, under a policy of its own', async () => {
    await using pages = await setUp(mail('ada'));
    const { body, policy, headers } = await pages.get('/ada/html');
    expect(body.replace('<base target="_blank">', '')).toBe(mail('ada').html);
    expect(body).toContain('<base target="_blank">');
    expect(policy.split('; ')).toEqual(
      expect.arrayContaining([
        "default-src 'none'",
        "frame-ancestors 'self'",
        'sandbox allow-popups allow-popups-to-escape-sandbox',
      ]),
    );
    expect(headers['x-frame-options']).toBe('SAMEORIGIN');
  });

  it('keeps the last hundred', async () => {
    await using pages = await setUp(...Array.from({ length: 101 }, (_, index) => mail(`m${index}`)));
    expect((await pages.get('/m1')).status).toBe(200);
    for (const path of ['/m0', '/m0/html']) {
      const { status, body } = await pages.get(path);
      expect(status).toBe(404);
      expect(body).toContain('No such mail');
    }
  });

  it.each(['attacker.example', 'localhost.attacker.example', 'localhost@attacker.example'])(
    'is not shown under the name %j, which is not of this machine',
    async (host) => {
      await using pages = await setUp(mail('ada'));
      for (const path of ['/', '/ada', '/ada/html']) {
        const { status, body } = await pages.get(path, host);
        expect(status).toBe(403);
        expect(body).not.toContain('ada');
      }
    },
  );

  it.each(['127.0.0.1', '[::1]:3000', 'app.localhost', '192.168.1.7:3000'])('is shown under %s', async (host) => {
    await using pages = await setUp(mail('ada'));
    expect((await pages.get('/', host)).status).toBe(200);
  });
});
