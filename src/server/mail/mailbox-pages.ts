import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { Router, type Response } from 'express';
import { isSecureOrigin } from '../env.ts';
import type { Mailbox } from './mailbox.ts';
import { escapeHtml } from './render.ts';

const STYLE = `:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 720px; margin: 0 auto; padding: 24px 16px }
iframe { width: 100%; height: 640px; border: 1px solid GrayText; border-radius: 8px }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 16px; border: 1px solid GrayText; border-radius: 8px }
li { margin: 0 0 12px }
dt { float: left; width: 80px; color: GrayText }
dd { margin: 0 }`;

const directives = (list: string[]) => list.join('; ');
const PAGE_POLICY = directives([
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
]);
/** As strict as a mail program: no scripts, nothing from elsewhere, and links open outside. */
const MAIL_POLICY = directives([
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'self'",
  'sandbox allow-popups allow-popups-to-escape-sandbox',
]);

/** The pages under /dev/mail, in development only: what has been sent, each as its reader would see it. */
export function mailboxPages(mailbox: Mailbox): Router {
  const router = Router();
  router.use((req, res, next) => {
    // A page of another site that has its name resolve to this machine could read the links here.
    if (!isLocalName(req.hostname)) return void res.status(403).type('text/plain').send('Open this page on localhost.');
    res.set('Cache-Control', 'no-store');
    next();
  });

  router.get('/', (_req, res) => {
    const items = mailbox
      .messages()
      .map(
        ({ id, subject, to, date }) =>
          `<li><a href="/dev/mail/${encodeURIComponent(id)}">${escapeHtml(subject)}</a><br>to ${escapeHtml(to)}, ${date.toISOString()}</li>`,
      );
    const list = items.length > 0 ? `<ul>${items.join('\n')}</ul>` : '<p>No mail yet.</p>';
    sendPage(res, 'Mailbox', `<p>The last mails of this server, which sends none in development.</p>${list}`, true);
  });

  router.get('/:id', (req, res, next) => {
    const message = mailbox.messages().find(({ id }) => id === req.params.id);
    if (message === undefined) return next();
    const { id, subject, to, date, text } = message;
    sendPage(
      res,
      subject,
      `<p><a href="/dev/mail">All mails</a></p>
<dl><dt>To</dt><dd>${escapeHtml(to)}</dd><dt>Date</dt><dd>${date.toUTCString()}</dd></dl>
<h2>HTML</h2>
<iframe title="The mail as HTML" sandbox="allow-popups allow-popups-to-escape-sandbox" src="/dev/mail/${encodeURIComponent(id)}/html"></iframe>
<h2>Text</h2>
<pre>${withLinks(text)}</pre>`,
    );
  });

  router.get('/:id/html', (req, res, next) => {
    const message = mailbox.messages().find(({ id }) => id === req.params.id);
    if (message === undefined) return next();
    res.set({ 'Content-Security-Policy': MAIL_POLICY, 'X-Frame-Options': 'SAMEORIGIN' });
    // Without an origin of its own, it cannot be keyed by one, and the browser would warn.
    res.removeHeader('Origin-Agent-Cluster');
    // As a mail program opens links: not in the place of the mail.
    res.type('html').send(message.html.replace('<head>', '<head><base target="_blank">'));
  });

  router.use((_req, res) => {
    res.status(404);
    sendPage(
      res,
      'No such mail',
      '<p>It is gone: mails are kept until the server restarts, the last 100 of them. <a href="/dev/mail">All mails</a></p>',
    );
  });
  return router;
}

const isLocalName = (hostname: string) =>
  isIP(hostname.replace(/^\[(.*)\]$/, '$1')) !== 0 || isSecureOrigin(`http://${hostname}`);

function sendPage(res: Response, title: string, body: string, refresh = false): void {
  res.set('Content-Security-Policy', PAGE_POLICY);
  res.type('html').send(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">${refresh ? '\n<meta http-equiv="refresh" content="5">' : ''}
<title>${escapeHtml(title)} · Latchkey development mail</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${body}
</body>
</html>
`);
}

const withLinks = (text: string) =>
  escapeHtml(text).replaceAll(/https?:\/\/[^\s<]+/g, (url) => `<a href="${url}">${url}</a>`);
