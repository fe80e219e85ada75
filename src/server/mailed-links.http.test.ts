import { describe, expect, it } from 'vitest';
import { accountKey } from './auth/limits/throttle.ts';
import type { LinkPurpose } from './auth/links.ts';
import { dump, mailedLinks, mailedToken } from './testing/mailed-links.ts';
import { testWorld, type TestClient, type World } from './testing/world.ts';

const HOUR = 60 * 60_000;
const NEW_PASSWORD = 'quite another password';
const OLD_EMAIL = 'ada@example.com';
const NEW_EMAIL = 'ada@example.org';

interface Kind {
  purpose: LinkPurpose;
  /** Has the link mailed, again if called again. */
  request(world: World, ada: TestClient, init?: { headers: Record<string, string> }): Promise<unknown>;
  /** Where the mail goes. */
  recipient: string;
  path: string;
  input(token: string): Record<string, string>;
  lifetimeMs: number;
  /** What can be seen of an account once the link has been used. */
  done: Record<string, unknown>;
}

const kinds: Kind[] = [
  {
    purpose: 'email-verification',
    request: (_world, ada, init) => ada.mutate('emailVerification.send', undefined, init),
    recipient: OLD_EMAIL,
    path: 'emailVerification.confirm',
    input: (token) => ({ token }),
    lifetimeMs: 72 * HOUR,
    done: { email: OLD_EMAIL, verified: true, ended: false },
  },
  {
    purpose: 'email-change',
    request: (_world, ada, init) => ada.mutate('emailChange.request', { email: NEW_EMAIL }, init),
    recipient: NEW_EMAIL,
    path: 'emailChange.confirm',
    input: (token) => ({ token }),
    lifetimeMs: 24 * HOUR,
    done: { email: NEW_EMAIL, verified: true, ended: false },
  },
  {
    purpose: 'password-reset',
    request: (world, _ada, init) => world.client().mutate('passwordReset.request', { email: OLD_EMAIL }, init),
    recipient: OLD_EMAIL,
    path: 'passwordReset.complete',
    input: (token) => ({ token, password: NEW_PASSWORD }),
    lifetimeMs: HOUR,
    done: { email: OLD_EMAIL, verified: true, ended: true },
  },
];
const untouched = { email: OLD_EMAIL, verified: false, ended: false };

async function stateOfAda(world: World) {
  const [row] = await world.sql(`select email, email_verified_at as verified from users where username = 'ada'`);
  const live = await world.sql(
    `select sessions.id from sessions join users on users.id = user_id where username = 'ada' and ended_at is null`,
  );
  return { email: row?.email, verified: row?.verified !== null, ended: live.length === 0 };
}

/** @returns the outcome: `200`, or the code of the failure */
async function use(world: World, { path, input }: Kind, token: string) {
  const answer = await world.client().mutate(path, input(token));
  return answer.status === 200 ? answer.data : answer.failure;
}
const INVALID = { code: 'link_invalid' };

async function mailedTo(kind: Kind) {
  const world = await testWorld();
  const ada = world.client();
  const { user } = await ada.register('ada');
  await kind.request(world, ada);
  return { world, ada, user, token: await mailedToken(world, kind.purpose, kind.recipient) };
}

describe.each(kinds)('a link for $purpose', (kind) => {
  it('works once, without a session', async () => {
    const { world, token } = await mailedTo(kind);
    await using _ = world;
    expect(await stateOfAda(world)).toEqual(untouched);
    expect(await use(world, kind, token)).toBeNull();
    expect(await stateOfAda(world)).toEqual(kind.done);
    expect(await use(world, kind, token)).toEqual(INVALID);
    expect(await stateOfAda(world)).toEqual(kind.done);
  });

  it('works for one of several tabs at once', async () => {
    const { world, token } = await mailedTo(kind);
    await using _ = world;
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => use(world, kind, token)));
    expect(outcomes.filter((outcome) => outcome === null)).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome !== null)).toEqual(Array.from({ length: 9 }, () => INVALID));
  });

  it('stops working once another has been asked for', async () => {
    const { world, ada, token } = await mailedTo(kind);
    await using _ = world;
    await kind.request(world, ada);
    const second = await mailedToken(world, kind.purpose, kind.recipient);
    expect(await use(world, kind, token)).toEqual(INVALID);
    expect(await stateOfAda(world)).toEqual(untouched);
    expect(await use(world, kind, second)).toBeNull();
  });

  it('works until it expires', async () => {
    const { world, token } = await mailedTo(kind);
    await using _ = world;
    world.clock.advance(kind.lifetimeMs);
    expect(await use(world, kind, token)).toEqual(INVALID);
    expect(await stateOfAda(world)).toEqual(untouched);
    world.clock.advance(-1);
    expect(await use(world, kind, token)).toBeNull();
  });

  it('is not used up by whatever only looks at its page', async () => {
    const { world, token } = await mailedTo(kind);
    await using _ = world;
    await fetch(`${world.url}${world.services.links.path({ ...row(kind), userId: 'ada' }).replace(/#.*/, '')}`);
    await fetch(`${world.url}/trpc/${kind.path}?input=${encodeURIComponent(JSON.stringify(kind.input(token)))}`);
    await fetch(`${world.url}/trpc/${kind.path}`, { method: 'HEAD' });
    expect(await stateOfAda(world)).toEqual(untouched);
    expect(await use(world, kind, token)).toBeNull();
  });

  it('is void once the email is another', async () => {
    const { world, ada, token } = await mailedTo(kind);
    await using _ = world;
    await ada.mutate('emailChange.request', { email: 'third@example.com' });
    const changing = await mailedToken(world, 'email-change', 'third@example.com');
    await world.client().mutate('emailChange.confirm', { token: changing });
    const changed = { email: 'third@example.com', verified: true, ended: false };
    expect(await stateOfAda(world)).toEqual(changed);
    expect(await use(world, kind, token)).toEqual(INVALID);
    expect(await stateOfAda(world)).toEqual(changed);
  });

  it('is void once the account has been deleted, even for another with the same names', async () => {
    const { world, ada, token } = await mailedTo(kind);
    await using _ = world;
    expect((await ada.mutate('account.delete', { username: 'ada' })).data).toBeNull();
    expect(await use(world, kind, token)).toEqual(INVALID);
    await world.client().register('ada');
    expect(await use(world, kind, token)).toEqual(INVALID);
    expect(await stateOfAda(world)).toEqual(untouched);
  });

  it('changes nothing of a disabled account', async () => {
    const { world, user, token } = await mailedTo(kind);
    await using _ = world;
    const now = world.clock.now;
    await world.services.changeAccount({ userId: user.id, now, set: { disabledAt: now } });
    expect(await use(world, kind, token)).toEqual(INVALID);
    expect(await stateOfAda(world)).toEqual(untouched);
  });

  it('cannot be forged', async () => {
    const { world, ada, user, token } = await mailedTo(kind);
    await using _ = world;
    const other = await world.client().register('eve');
    const { tokens } = world.services;
    const { kind: verified, ...rest } = tokens.verifyLink(token, world.clock.now);
    expect(verified).toBe('valid');
    const claims = 'claims' in rest ? rest.claims : undefined;
    if (claims === undefined) throw new Error('The token has no claims');
    const { iss: _iss, aud: _aud, ...own } = claims;
    const stranger = await testWorld({ refreshSecrets: ['another secret of 32 bytes or more than that'] });
    await using _stranger = stranger;
    const purposes = kinds.map(({ purpose }) => purpose).filter((purpose) => purpose !== kind.purpose);
    const forged: Record<string, string> = {
      empty: '',
      'not a token': 'token',
      'its id alone': own.jti,
      'cut off': token.slice(0, -1),
      'in capitals': token.toUpperCase(),
      'without a signature': token.replace(/[^.]*$/, ''),
      'with the claims of another': token.replace(
        /\.[^.]*\./,
        `.${Buffer.from(JSON.stringify({ ...claims, sub: other.user.id })).toString('base64url')}.`,
      ),
      'signed with another secret': stranger.services.tokens.signLink(own),
      'for another account': tokens.signLink({ ...own, sub: other.user.id }),
      'for a row that does not exist': tokens.signLink({ ...own, jti: 'b5a7f1f0-0000-4000-8000-000000000000' }),
      'a refresh token': ada.cookie ?? '',
      'an access token': ada.accessToken ?? '',
      'a device token': tokens.signDevice({ sub: accountKey(OLD_EMAIL), jti: own.jti, iat: own.iat, exp: own.exp }),
      'very long': 'a'.repeat(20_000),
      ...Object.fromEntries(purposes.map((purpose) => [purpose, tokens.signLink({ ...own, purpose })])),
    };
    const outcomes = await Promise.all(
      Object.entries(forged).map(async ([name, text]) => [name, await use(world, kind, text)]),
    );
    expect(outcomes).toEqual(Object.keys(forged).map((name) => [name, INVALID]));
    expect(await stateOfAda(world)).toEqual(untouched);
    expect(user.username).toBe('ada');
    // Nor does it open anything else.
    const guest = world.client();
    guest.accessToken = token;
    expect((await guest.query('auth.me')).failure).toEqual({ code: 'access_token_invalid' });
    guest.cookie = token;
    expect((await guest.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'invalid' });
    expect(await use(world, kind, token)).toBeNull();
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a number', 1],
    ['a list', ['token']],
    ['an object', { toString: 'token' }],
  ])('takes %s for bad input', async (_name, token) => {
    await using world = await testWorld();
    const answer = await world.client().mutate(kind.path, { ...kind.input(''), token });
    expect([answer.status, answer.failure]).toEqual([
      400,
      { code: 'invalid_input', fields: { token: [expect.any(String)] } },
    ]);
  });

  it('leads to the app, whatever host the request is for', async () => {
    await using world = await testWorld({ trustProxy: 1 });
    const ada = world.client();
    await ada.register('ada');
    await kind.request(world, ada, { headers: { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' } });
    const link = (await mailedLinks(world, kind.purpose, kind.recipient)).at(-1) ?? '';
    const url = new URL(link);
    expect([url.origin, url.search]).toEqual(['https://app.example.com', '']);
  });

  it('is in no row and no log line, before or after its use', async () => {
    const { world, token } = await mailedTo(kind);
    await using _ = world;
    const seen: string[] = [await dump(world)];
    await use(world, kind, token);
    await use(world, kind, token);
    seen.push(await dump(world), ...world.log);
    const [, payload = '', signature = ''] = token.split('.');
    for (const part of [token, payload, signature, NEW_PASSWORD])
      expect(seen.filter((text) => text.includes(part))).toEqual([]);
  });
});

const row = ({ purpose }: Kind) => ({ id: 'link', purpose, data: {}, createdAt: 0, expiresAt: 1 });
