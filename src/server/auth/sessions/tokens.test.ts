import { createHash, createHmac } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { describe, expect, it, vi } from 'vitest';
import { createTokens } from './tokens.ts';
import vectors from './testdata/wycheproof-hmac.json' with { type: 'json' };

const MINUTE = 60_000;
const NOW = Date.UTC(2030, 0, 1, 12);
const seconds = NOW / 1000;
const accessTokenLifetimeMs = 15 * MINUTE;

const ACCESS = 'access secret of these tests, 32 bytes';
const REFRESH = 'refresh secret of these tests, 32 bytes';
const tokens = createTokens({ accessSecrets: [ACCESS], refreshSecrets: [REFRESH], accessTokenLifetimeMs });

const claims = {
  sub: 'anna',
  sid: 'session',
  gen: 3,
  gat: seconds - 1,
  role: 'user',
  iat: seconds,
  exp: seconds + 900,
} as const;
const access = { iss: 'latchkey', aud: 'latchkey', ...claims };
const { gat: _, role: _role, ...refresh } = access;
const header = { alg: 'HS256', typ: 'at+jwt' };

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const mac = (input: string, secret: string | Buffer, hash = 'sha256') =>
  createHmac(hash, secret).update(input).digest('base64url');

/** Builds a token signed with any secret. A string is encoded as it is, anything else as JSON. */
function forge(head: unknown, payload: unknown, secret: string | Buffer = ACCESS, hash = 'sha256'): string {
  const input = `${encode(head)}.${encode(payload)}`;
  return `${input}.${mac(input, secret, hash)}`;
}

const verify = (token: string) => tokens.verifyAccess(token, NOW).kind;

const valid = tokens.signAccess(claims);
const [validHead, validPayload, validSignature] = valid.split('.') as [string, string, string];

describe('a valid token', () => {
  it('carries its claims', () => {
    expect(tokens.verifyAccess(valid, NOW)).toEqual({ kind: 'valid', claims: access });
    const { gat: __, ...withoutGat } = claims;
    expect(tokens.verifyRefresh(tokens.signRefresh(withoutGat), NOW)).toEqual({ kind: 'valid', claims: refresh });
  });

  it('can be built by the helper in this file, so that tokens below are rejected for their flaws', () => {
    expect(verify(forge(header, access))).toBe('valid');
    expect(tokens.verifyRefresh(forge({ ...header, typ: 'rt+jwt' }, refresh, REFRESH), NOW).kind).toBe('valid');
  });

  it('expires at exactly exp, and still carries its claims', () => {
    expect(tokens.verifyAccess(valid, NOW + 900_000 - 1).kind).toBe('valid');
    expect(tokens.verifyAccess(valid, NOW + 900_000)).toEqual({ kind: 'expired', claims: access });
  });

  it('keeps milliseconds', () => {
    const iat = (NOW + 1) / 1000;
    const token = tokens.signAccess({ ...claims, iat, gat: iat, exp: (NOW + 1 + accessTokenLifetimeMs) / 1000 });
    expect(tokens.verifyAccess(token, NOW + 1)).toMatchObject({ kind: 'valid', claims: { iat, gat: iat } });
  });

  it('is accepted in 2038, when a NumericDate loses a bit of its fraction', () => {
    const night = 2 ** 31 - 450;
    for (let ms = 0; ms < 100; ms++) {
      const iat = (night * 1000 + ms) / 1000;
      const token = tokens.signAccess({ ...claims, iat, gat: iat, exp: iat + accessTokenLifetimeMs / 1000 });
      expect(tokens.verifyAccess(token, night * 1000 + ms).kind).toBe('valid');
    }
  });

  it('has a kid that does not reveal the secret', () => {
    const { kid } = JSON.parse(Buffer.from(validHead, 'base64url').toString()) as { kid: string };
    expect(kid).toMatch(/^[\w-]{8}$/);
    expect(createHash('sha256').update(ACCESS).digest('base64url')).not.toContain(kid);
    expect(Buffer.from(validPayload, 'base64url').toString()).not.toContain(ACCESS);
  });
});

describe('a token that was verified before', () => {
  const fresh = () => createTokens({ accessSecrets: [ACCESS], refreshSecrets: [REFRESH], accessTokenLifetimeMs });

  it('is not verified twice', () => {
    const verifySignature = vi.spyOn(jwt, 'verify');
    const { signAccess, verifyAccess } = fresh();
    const token = signAccess(claims);
    for (let time = 0; time < 3; time += 1)
      expect(verifyAccess(token, NOW + time)).toEqual({ kind: 'valid', claims: access });
    expect(verifySignature).toHaveBeenCalledOnce();
    verifySignature.mockRestore();
  });

  it('still expires, and is still refused if issued in the future', () => {
    const { verifyAccess } = fresh();
    expect(verifyAccess(valid, NOW).kind).toBe('valid');
    expect(verifyAccess(valid, NOW + 900_000).kind).toBe('expired');
    expect(verifyAccess(valid, NOW - 2 * MINUTE).kind).toBe('invalid');
    expect(verifyAccess(valid, NOW).kind).toBe('valid');
  });

  it('does not vouch for the same claims with another signature', () => {
    const { verifyAccess, verifyRefresh } = fresh();
    verifyAccess(valid, NOW);
    const forged = mac(`${validHead}.${validPayload}`, REFRESH);
    expect(verifyAccess(`${validHead}.${validPayload}.${forged}`, NOW).kind).toBe('invalid');
    expect(verifyRefresh(valid, NOW).kind).toBe('invalid');
  });

  it('is unknown to a server with other secrets', () => {
    fresh().verifyAccess(valid, NOW);
    const rotated = createTokens({ accessSecrets: [REFRESH], refreshSecrets: [ACCESS], accessTokenLifetimeMs });
    expect(rotated.verifyAccess(valid, NOW).kind).toBe('invalid');
  });

  it('has immutable claims', () => {
    const { verifyAccess } = fresh();
    const verified = verifyAccess(valid, NOW) as { claims: { sub: string } };
    expect(() => (verified.claims.sub = 'eve')).toThrow(TypeError);
  });

  it('is forgotten once many others have been verified', () => {
    const { signAccess, verifyAccess } = fresh();
    verifyAccess(valid, NOW);
    for (let index = 0; index < 10_000; index += 1)
      verifyAccess(signAccess({ ...claims, sid: `session${index}` }), NOW);
    const verifySignature = vi.spyOn(jwt, 'verify');
    expect(verifyAccess(valid, NOW).kind).toBe('valid');
    expect(verifySignature).toHaveBeenCalledOnce();
    verifySignature.mockRestore();
  });
});

describe('a token of another kind', () => {
  it('is rejected, expired or not', () => {
    const { gat: __, ...withoutGat } = claims;
    const refreshToken = tokens.signRefresh(withoutGat);
    expect(tokens.verifyAccess(refreshToken, NOW)).toEqual({ kind: 'invalid' });
    expect(tokens.verifyRefresh(valid, NOW)).toEqual({ kind: 'invalid' });
    expect(tokens.verifyRefresh(valid, NOW + accessTokenLifetimeMs)).toEqual({ kind: 'invalid' });
  });

  it('is rejected by its type, even if both kinds share a secret', () => {
    const careless = createTokens({ accessSecrets: [ACCESS], refreshSecrets: [ACCESS], accessTokenLifetimeMs });
    expect(careless.verifyRefresh(careless.signAccess(claims), NOW)).toEqual({ kind: 'invalid' });
    expect(careless.verifyAccess(forge({ ...header, typ: 'rt+jwt' }, access), NOW)).toEqual({ kind: 'invalid' });
  });

  it('is rejected by its secret, even with the right type', () => {
    expect(verify(forge(header, access, REFRESH))).toBe('invalid');
  });
});

describe('alg', () => {
  it.each(['none', 'None', 'NONE', 'nOnE', 'none ', '', null, ['HS256'], 'HS256 ', 'hs256', undefined])(
    'is rejected as %j, with or without a signature',
    (alg) => {
      const input = `${encode({ ...header, alg })}.${encode(access)}`;
      for (const signature of ['', 'AAAA', mac(input, ACCESS)]) expect(verify(`${input}.${signature}`)).toBe('invalid');
    },
  );

  it('is rejected as a longer HMAC, even with our secret', () => {
    expect(verify(forge({ ...header, alg: 'HS384' }, access, ACCESS, 'sha384'))).toBe('invalid');
    expect(verify(forge({ ...header, alg: 'HS512' }, access, ACCESS, 'sha512'))).toBe('invalid');
  });

  it.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('is rejected as %s, whatever the signature', (alg) => {
    expect(verify(forge({ ...header, alg }, access))).toBe('invalid');
    expect(verify(`${encode({ ...header, alg })}.${encode(access)}.${encode('\0'.repeat(64))}`)).toBe('invalid');
  });
});

describe('the header', () => {
  it.each(['JWT', 'at+JWT', 'application/at+jwt', 'rt+jwt', 'device+jwt', '', null, 1, undefined])(
    'is rejected with typ %j',
    (typ) => expect(verify(forge({ ...header, typ }, access))).toBe('invalid'),
  );

  it.each<Record<string, unknown>>([
    { crit: ['exp'] },
    { crit: [], exp: 1 },
    { crit: ['b64'], b64: false },
    { b64: true },
    { jku: 'http://127.0.0.1:9/jwks.json' },
    { x5u: 'http://127.0.0.1:9/x5u' },
    { x5c: ['AA'] },
    { jwk: { kty: 'oct', k: 'AA' } },
    { cty: 'JWT' },
    { zip: 'DEF' },
    { enc: 'A128GCM' },
    { constructor: 1 },
  ])('is rejected with an unsupported parameter: %j', (extra) => {
    expect(verify(forge({ ...header, ...extra }, access))).toBe('invalid');
  });

  it.each(['null', '[]', '"HS256"', '1', '', '{', '{"alg":"HS256","typ":"at+jwt"', '\u0000'])(
    'is rejected when it is not an object: %j',
    (head) => expect(verify(forge(head, access))).toBe('invalid'),
  );

  it('does not supply the key', () => {
    const key = Buffer.alloc(32);
    const jwk = { kty: 'oct', k: key.toString('base64url') };
    expect(verify(forge({ ...header, jwk }, access, key))).toBe('invalid');
  });
});

describe('kid', () => {
  it.each(['../../../../dev/null', "x' UNION SELECT 'AAAA'-- ", '', '0', '__proto__', 'constructor', 'length'])(
    'selects no key as %j, neither an empty one nor ours',
    (kid) => {
      for (const secret of [Buffer.alloc(0), 'AAAA', Buffer.from(kid), ACCESS])
        expect(verify(forge({ ...header, kid }, access, secret))).toBe('invalid');
    },
  );

  it.each([null, 1, ['a'], { toString: 'x' }])('is rejected as %j', (kid) => {
    expect(verify(forge({ ...header, kid }, access))).toBe('invalid');
  });

  it('allows a secret to be rotated, after which the old one is worthless', () => {
    const fresh = 'the next access secret, 32 bytes or more';
    const both = createTokens({ accessSecrets: [fresh, ACCESS], refreshSecrets: [REFRESH], accessTokenLifetimeMs });
    const after = createTokens({ accessSecrets: [fresh], refreshSecrets: [REFRESH], accessTokenLifetimeMs });
    expect(both.verifyAccess(valid, NOW).kind).toBe('valid');
    expect(after.verifyAccess(valid, NOW).kind).toBe('invalid');
    const next = both.signAccess(claims);
    expect(after.verifyAccess(next, NOW).kind).toBe('valid');
    expect(both.verifyAccess(next, NOW).kind).toBe('valid');
    expect(verify(next)).toBe('invalid');
  });

  it('must match the signature, and without it every key is tried', () => {
    const fresh = 'the next access secret, 32 bytes or more';
    const both = createTokens({ accessSecrets: [fresh, ACCESS], refreshSecrets: [REFRESH], accessTokenLifetimeMs });
    const { kid } = JSON.parse(Buffer.from(validHead, 'base64url').toString()) as { kid: string };
    expect(both.verifyAccess(forge({ ...header, kid }, access, fresh), NOW).kind).toBe('invalid');
    expect(both.verifyAccess(forge({ ...header, kid }, access, ACCESS), NOW).kind).toBe('valid');
    for (const secret of [fresh, ACCESS])
      expect(both.verifyAccess(forge(header, access, secret), NOW).kind).toBe('valid');
    expect(both.verifyAccess(forge(header, access, 'a third secret, with thirty-two bytes'), NOW).kind).toBe('invalid');
  });

  it('requires at least one secret', () => {
    expect(() => createTokens({ accessSecrets: [], refreshSecrets: [REFRESH], accessTokenLifetimeMs })).toThrow();
  });
});

describe('the claims', () => {
  it.each(['iss', 'aud', 'sub', 'sid', 'gen', 'gat', 'iat', 'exp'])('are rejected without %s', (name) => {
    const { [name as keyof typeof access]: __, ...rest } = access;
    expect(verify(forge(header, rest))).toBe('invalid');
  });

  it.each<[string, unknown[]]>([
    ['iss', ['', 'Latchkey', 'https://latchkey', null, ['latchkey'], 1]],
    ['aud', ['', 'other', null, ['latchkey'], ['latchkey', 'other'], 1]],
    ['sub', ['', null, 1, ['anna'], {}]],
    ['sid', ['', null, 1, ['session'], {}]],
    ['gen', [0, -1, 1.5, '3', null, true, 1e300, [3]]],
    ['gat', [-1, '1', null, true, {}]],
    ['iat', [-1, String(seconds), null, true, seconds + 61, 1e21]],
    ['exp', [-1, '9999999999', 1e21, null, true, seconds + 900.5, seconds + 365 * 86_400]],
    ['nbf', [seconds + 60, 'x', null]],
  ])('are rejected with a wrong %s', (name, values) => {
    for (const value of values)
      expect([value, verify(forge(header, { ...access, [name]: value }))]).toEqual([value, 'invalid']);
  });

  it('are accepted from a server whose clock is slightly ahead', () => {
    const ahead = { ...access, iat: seconds + 60, exp: seconds + 960 };
    expect(verify(forge(header, ahead))).toBe('valid');
  });

  it('of a refresh token are checked too', () => {
    const head = { ...header, typ: 'rt+jwt' };
    for (const wrong of [
      { exp: '9999999999' },
      { exp: null },
      { gen: 0 },
      { sid: undefined },
      { aud: ['latchkey'] },
      { iss: 'x' },
    ])
      expect(tokens.verifyRefresh(forge(head, { ...refresh, ...wrong }, REFRESH), NOW).kind).toBe('invalid');
  });

  it.each(['null', '[]', '"anna"', '1', '', 'foo', '{'])('are rejected when they are not an object: %j', (payload) => {
    expect(verify(forge(header, payload))).toBe('invalid');
  });

  it('take the last of two values', () => {
    const twice = JSON.stringify(access).replace('{', '{"sub":"bert",');
    expect(tokens.verifyAccess(forge(header, twice), NOW)).toMatchObject({ kind: 'valid', claims: { sub: 'anna' } });
  });

  it('do not pollute prototypes', () => {
    const polluted = JSON.stringify(access).replace('{', '{"__proto__":{"admin":true},');
    const verified = tokens.verifyAccess(forge(header, polluted), NOW);
    expect(Object.keys(verified.kind === 'invalid' ? {} : verified.claims).toSorted()).toEqual(
      Object.keys(access).toSorted(),
    );
    expect('admin' in {}).toBe(false);
  });
});

describe('the serialization', () => {
  const json = { payload: validPayload, protected: validHead, signature: validSignature };

  it.each<[string, string]>([
    ['nothing', ''],
    ['one part', validPayload],
    ['two parts', `${validHead}.${validPayload}`],
    ['no signature', `${validHead}.${validPayload}.`],
    ['no payload', `${validHead}..${validSignature}`],
    ['no header', `.${validPayload}.${validSignature}`],
    ['four parts', `${valid}.${validSignature}`],
    ['an empty fourth part', `${valid}.`],
    ['five parts, as if encrypted', `${valid}.AAAA.AAAA`],
    ['a padded signature', `${valid}=`],
    ['a padded payload', `${validHead}.${validPayload}=.${validSignature}`],
    ['a trailing space', `${valid} `],
    ['a leading space', ` ${valid}`],
    ['a trailing line break', `${valid}\n`],
    ['an encoded space', `${valid}%20`],
    ['a NUL', `${valid}\0`],
    ['a truncated signature', valid.slice(0, -1)],
    ['an extended signature', `${valid}A`],
    ['JSON, flattened', JSON.stringify(json)],
    ['JSON, general', JSON.stringify({ payload: validPayload, signatures: [json] })],
  ])('is rejected with %s', (_name, token) => {
    expect(verify(token)).toBe('invalid');
  });

  it.each(['[object Object]', "' OR 1=1--", '{"$ne":null}', '%E0%A4%A', '...'])('is rejected as %j', (token) => {
    expect(verify(token)).toBe('invalid');
    expect(tokens.verifyRefresh(token, NOW)).toEqual({ kind: 'invalid' });
  });

  it('is rejected with any character of the signature changed, including its unused bits', () => {
    for (let i = 0; i < validSignature.length; i++) {
      const changed = validSignature[i] === 'A' ? 'B' : 'A';
      const signature = validSignature.slice(0, i) + changed + validSignature.slice(i + 1);
      expect(verify(`${validHead}.${validPayload}.${signature}`)).toBe('invalid');
    }
    // 32 bytes leave two bits of the last character unused.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = alphabet.indexOf(validSignature.at(-1)!);
    for (const bits of [1, 2, 3]) expect(verify(valid.slice(0, -1) + alphabet[last ^ bits])).toBe('invalid');
  });

  it('is rejected in the standard base64 alphabet', () => {
    // The encoding of this claim contains both characters in which the alphabets differ.
    const sub = '\u00bf\u00bf\u00be>>>???';
    const token = tokens.signAccess({ ...claims, sub });
    expect(verify(token)).toBe('valid');
    const other = token.replaceAll('-', '+').replaceAll('_', '/');
    expect(other).not.toBe(token);
    expect(verify(other)).toBe('invalid');
  });

  it('is rejected when it is too long, before it is parsed', () => {
    for (const length of [4_097, 15_000, 5_000_000]) {
      expect(verify('a'.repeat(length))).toBe('invalid');
      expect(verify(`${validHead}.${'A'.repeat(length)}.${validSignature}`)).toBe('invalid');
    }
    expect(verify(forge(header, { ...access, pad: 'x'.repeat(4_096) }))).toBe('invalid');
  });
});

/*
 * Wycheproof's HMAC vectors. They all have another `typ` and no claims, so that rejecting them proves little. The flaw of each
 * is therefore also grafted onto a valid token of ours, which must be rejected for it.
 */
describe('Wycheproof', () => {
  const { tests } = vectors;
  const byId = new Map(tests.map((vector) => [vector.tcId, vector]));
  /** The intact vector that a flawed one was made from, where it is neither 1 nor 357. */
  const ORIGINALS: Record<number, number> = { 363: 358, 364: 359 };

  /** Valid according to Wycheproof, which allows any payload and a header without `typ`. */
  const VALID = [1, 348, 352, 357, 358, 359, 376, 377];
  /** Identical to the valid 357: the padding that they are named for is missing from the published vectors. */
  const SAME_AS_VALID = [367, 370];
  /** Called valid although they are not base64url, which RFC 7515, section 2 requires. We are stricter. */
  const LENIENT = [372, 373];
  /** Unused bits of the payload are not zero. They have no intact original to graft from; 375 is signed like that. */
  const UNUSED_BITS = [374, 375];

  it('is complete', () => {
    expect(tests).toHaveLength(40);
    expect(tests.filter(({ result }) => result === 'valid').map(({ tcId }) => tcId)).toEqual(
      [...VALID, ...LENIENT].toSorted((a, b) => a - b),
    );
    for (const id of SAME_AS_VALID) expect(byId.get(id)!.jws).toBe(byId.get(357)!.jws);
  });

  it.each(tests)('rejects $tcId with its own key: $comment', ({ k, jws }) => {
    // The key is arbitrary bytes, which createTokens handles like a string.
    const key = Buffer.from(k, 'base64url') as unknown as string;
    const withItsKey = createTokens({ accessSecrets: [key], refreshSecrets: [key], accessTokenLifetimeMs });
    expect(withItsKey.verifyAccess(jws, NOW)).toEqual({ kind: 'invalid' });
    expect(withItsKey.verifyRefresh(jws, NOW)).toEqual({ kind: 'invalid' });
  });

  it.each(tests.filter(({ tcId }) => VALID.includes(tcId)))(
    'accepts the header and key of $tcId with our claims and typ: $comment',
    ({ k, jws }) => {
      const key = Buffer.from(k, 'base64url');
      const [head, payload, signature] = jws.split('.') as [string, string, string];
      expect(mac(`${head}.${payload}`, key)).toBe(signature);
      const spaced = Buffer.from(head, 'base64url')
        .toString()
        .replace(/}$/, ',"typ":"at+jwt"}')
        .replace(/"kid"\s*:\s*"[^"]*",?/, '');
      const secret = key as unknown as string;
      const withItsKey = createTokens({ accessSecrets: [secret], refreshSecrets: [secret], accessTokenLifetimeMs });
      expect(withItsKey.verifyAccess(forge(spaced, access, key), NOW).kind).toBe('valid');
    },
  );

  const flawed = tests.filter(
    ({ tcId, result }) => result === 'invalid' && ![...SAME_AS_VALID, ...UNUSED_BITS].includes(tcId),
  );

  it.each([...flawed, ...LENIENT.map((id) => byId.get(id)!)])(
    'rejects the flaw of $tcId in a token of ours: $comment',
    ({ tcId, k, jws }) => {
      const grafted = graft(tcId, k, jws);
      expect(grafted).not.toBe(valid);
      expect(verify(grafted)).toBe('invalid');
    },
  );

  /** Applies to our token the change that was made to the original, at the same position of the same part. */
  function graft(tcId: number, k: string, jws: string): string {
    if (jws.startsWith('{')) return jws.replace(/"payload":"[^"]*"/, `"payload":"${validPayload}"`);
    const before = byId.get(tcId < 100 ? 1 : (ORIGINALS[tcId] ?? 357))!.jws.split('.');
    const after = jws.split('.');
    const ours = valid.split('.');
    const changed = after.map((part, i) => {
      const whole = before.indexOf(part);
      return ours[whole] ?? change(before[i] ?? '', part, ours[i] ?? '');
    });
    // Where the flawed vector has a valid signature, ours gets one too: it must be rejected for its flaw.
    const signed = after[2] === mac(`${after[0]}.${after[1]}`, Buffer.from(k, 'base64url'));
    if (!signed) return changed.join('.');
    const [head, payload, , ...more] = changed;
    return [head, payload, mac(`${head}.${payload}`, ACCESS), ...more].join('.');
  }

  function change(before: string, after: string, ours: string): string {
    if (after === '') return '';
    let start = 0;
    while (start < after.length && after[start] === before[start]) start++;
    let end = 0;
    while (end < Math.min(before.length, after.length) - start && after.at(-1 - end) === before.at(-1 - end)) end++;
    const inserted = after.slice(start, after.length - end);
    // A change at the end is made at the end of ours, whose length differs.
    const at = start === 0 ? 0 : ours.length - (before.length - start);
    return ours.slice(0, at) + inserted + ours.slice(at + before.length - end - start);
  }
});
