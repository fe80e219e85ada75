import { describe, expect, it } from 'vitest';
import { newMail } from './mails.ts';
import { dump, mailedToken } from '../testing/mailed-links.ts';
import { testWorld } from '../testing/world.ts';

describe('Mail of a server', () => {
  it('is delivered once a change has been made, with a link that works', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register('ada');

    const mail = await world.outbox.next('ada@example.com');

    expect(mail).toMatchObject({ template: 'verify-email', to: 'ada@example.com', date: new Date(world.clock.now) });
    expect(mail.link).toMatch(/^https:\/\/app\.example\.com\/verify-email#token=/);
    expect(mail.html).toContain(mail.link);
    const token = new URL(mail.link ?? '').hash.replace('#token=', '');
    expect(await world.services.links.find('email-verification', token)).toMatchObject({ userId: user.id });
    expect(await world.sql('select id from outbox')).toEqual([]);
  });

  it('is dropped where its link has been replaced meanwhile', async () => {
    await using world = await testWorld();
    const { user } = await world.client().register('ada');
    await world.outbox.settled();
    const links = ['first', 'second'].map((to) => ({
      to,
      link: world.services.links.create('password-reset', user.id, { email: user.email }),
    }));
    await world.services.changeAccount({
      userId: user.id,
      now: world.clock.now,
      newLink: links[1]!.link,
      mails: links.map(({ to, link }) =>
        newMail('reset-password', { ...user, email: `${to}@example.com` }, {}, link.id),
      ),
    });
    await world.outbox.settled();
    expect(world.outbox.mails().map(({ to }) => to)).toEqual(['ada@example.com', 'second@example.com']);
    expect(await world.sql('select id from outbox')).toEqual([]);
  });

  it('is neither written nor delivered where mail is off', async () => {
    await using world = await testWorld({ mail: undefined, appUrl: undefined });
    await world.client().register('ada');
    expect(world.services.mail).toBeUndefined();
    expect(await world.sql('select id from outbox')).toEqual([]);
  });

  it.each([
    ['passwordReset.request', { email: 'ada@example.com' }],
    ['emailVerification.send', undefined],
    ['emailChange.request', { email: 'ada@example.org' }],
  ])('is not promised by %s where mail is off', async (path, input) => {
    await using world = await testWorld({ mail: undefined, appUrl: undefined });
    const client = world.client();
    await client.register('ada');
    // The first call writes to the session.
    await client.query('auth.me');
    const rows = await dump(world);
    expect((await client.mutate(path, input)).failure).toEqual({ code: 'mail_not_configured' });
    expect(await dump(world)).toBe(rows);
  });

  it.each([
    [{}, true],
    [{ mail: undefined, appUrl: undefined }, false],
  ])('is announced to the page: with %o %s', async (settings, announced) => {
    await using world = await testWorld(settings);
    const response = await fetch(`${world.url}/login`);
    expect(/\bmail\b/.test(response.headers.get('server-timing') ?? '')).toBe(announced);
  });
});

describe('Mail to an address that nobody has proved to be theirs', () => {
  const email = 'stranger@example.com';
  const password = 'a good password';
  const SPAM = 'Spam at spam.example/1.0 Windows NT 10';

  it('repeats nothing that whoever entered it could choose', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.mutate('auth.register', { username: 'spam.example', email, password });
    await client.mutate('auth.login', { email, password }, { headers: { 'user-agent': SPAM } });
    await client.mutate('passwordReset.request', { email });
    await client.mutate('account.changePassword', { password: 'another good password' });
    await client.mutate('emailChange.request', { email: 'me@spam.example' });
    await client.mutate('emailChange.confirm', {
      token: await mailedToken(world, 'email-change', 'me@spam.example'),
    });
    await world.outbox.settled();
    const mails = world.outbox.mails().filter(({ to }) => to === email);
    // Several are sent at the same time, and arrive in any order.
    expect(new Set(mails.map(({ template }) => template))).toEqual(
      new Set(['verify-email', 'new-device', 'reset-password', 'password-changed', 'email-changed']),
    );
    for (const { text, html } of mails) expect(`${text}${html}`).not.toMatch(/spam/i);
  });

  it('greets its reader by name once it is verified', async () => {
    await using world = await testWorld();
    await world.client().register('ada');
    const token = await mailedToken(world, 'email-verification', 'ada@example.com');
    await world.client().mutate('emailVerification.confirm', { token });
    await world.client().mutate('passwordReset.request', { email: 'ada@example.com' });
    await world.outbox.settled();
    expect(world.outbox.mails().at(-1)).toMatchObject({
      template: 'reset-password',
      text: expect.stringMatching(/^Hello ada,/),
    });
  });
});
