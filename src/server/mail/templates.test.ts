import { describe, expect, it } from 'vitest';
import type { MailData, Template } from './mails.ts';
import { render } from './render.ts';
import { describeMail } from './templates.ts';

const where = { device: 'Firefox on Windows', ip: '192.0.2.1' };
const mails: { [Name in Template]: MailData[Name] } = {
  'verify-email': {},
  'confirm-email': {},
  'reset-password': {},
  'email-changed': { newEmail: 'new@example.com' },
  'password-changed': {},
  'role-changed': { role: 'admin' },
  'account-deleted': {},
  'session-reused': where,
  'new-device': where,
  'already-registered': {},
};
const templates = Object.entries(mails).map(([template, data]) => ({
  template,
  data: { ...data, username: 'ada' } as Record<string, string>,
}));
const WITH_LINK = new Set(['verify-email', 'confirm-email', 'reset-password']);
const TO_STRANGERS = new Set(['verify-email', 'confirm-email']);
const createdAt = Date.UTC(2030, 0, 1, 12, 30);
const link = { url: 'https://app.example.com/page#token=abc', expiresAt: createdAt + 60 * 60_000 };
const options = { link, appUrl: 'https://app.example.com' };

function rendered(template: string, data: Record<string, string>) {
  const content = describeMail({ template, data, createdAt }, options);
  if (content === undefined) throw new Error(`No template ${template}`);
  return render(content);
}

describe('A mail', () => {
  it.each(templates)('says what happened, when, and what to do: $template', ({ template, data }) => {
    const { subject, text, html } = rendered(template, data);
    expect(subject).toMatch(/^[\x20-\x7e]{10,60}$/);
    expect(text).toContain('Tuesday, 1 January 2030 at 12:30 UTC');
    expect(text).toMatch(/If (this was not you|you did not expect|you have not)/);
    expect(`${text}${html}`).not.toMatch(/undefined|null|\[object/);
    const { username = '', role: _role, ...shown } = data;
    for (const value of Object.values(shown)) for (const body of [text, html]) expect(body).toContain(value);
    expect(text.includes(username)).toBe(!TO_STRANGERS.has(template));
    expect(text.includes(link.url)).toBe(WITH_LINK.has(template));
    expect(html.includes(`href="${link.url}"`)).toBe(WITH_LINK.has(template));
  });

  it.each(templates)('has no markup and no lines from its data: $template', ({ template, data }) => {
    const hostile = Object.fromEntries(
      Object.keys(data).map((name) => [name, '"><img src=x>\r\nBcc: eve@example.com\u202e\u2028']),
    );
    const { subject, text, html } = rendered(template, hostile);
    expect(subject).not.toMatch(/[\r\n]|Bcc/);
    expect(html).not.toContain('<img');
    expect(text).not.toMatch(/^Bcc/m);
    expect(`${text}${html}`).not.toMatch(/[\r\u2028\u202e]/);
  });

  it.each(['user', 'editor'])('tells of the role %s without speaking of administrators', (role) => {
    const { text } = rendered('role-changed', { username: 'ada', role });
    expect(text).toContain(`changed to “${role}”`);
    expect(text).not.toMatch(/admin/i);
  });

  it('loads nothing, and is readable in dark mode', () => {
    const { html } = rendered('reset-password', { username: 'ada' });
    expect(html).not.toMatch(/<(img|link|script)|url\(/);
    expect(html).toContain('<meta name="color-scheme" content="light dark">');
    expect(html).toContain('prefers-color-scheme: dark');
  });

  it('is not made where it needs a link and has none', () => {
    const mail = { template: 'reset-password', data: { username: 'ada' }, createdAt };
    expect(() => describeMail(mail, { ...options, link: undefined })).toThrow('needs a link');
  });

  it('is not made from a template that does not exist', () => {
    expect(describeMail({ template: 'toString', data: {}, createdAt }, options)).toBeUndefined();
  });
});
