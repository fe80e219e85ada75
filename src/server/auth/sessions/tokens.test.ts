import { createHash, createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createTokens } from './tokens.ts';
import vectors from './testdata/wycheproof-hmac.json' with { type: 'json' };

const MINUTE = 60_000;
const NOW = Date.UTC(2030, 0, 1, 12);
const seconds = NOW / 1000;
const accessTokenLifetime = 15 * MINUTE;

const ACCESS = 'access secret of these tests, 32 bytes';
const REFRESH = 'refresh secret of these tests, 32 bytes';
const tokens = createTokens({ accessSecrets: [ACCESS], refreshSecrets: [REFRESH], accessTokenLifetime });

const claims = { sub: 'anna', sid: 'session', gen: 3, gat: seconds - 1, iat: seconds, exp: seconds + 900 };
const access = { iss: 'latchkey', aud: 'latchkey', ...claims };
const { gat: _, ...refresh } = access;
const header = { alg: 'HS256', typ: 'at+jwt' };

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const mac = (input: string, secret: string | Buffer, hash = 'sha256') =>
  createHmac(hash, secret).update(input).digest('base64url');

/** A token as somebody makes it who knows the secret, or thinks so. A string is taken as it is. */
function forge(head: unknown, payload: unknown, secret: string | Buffer = ACCESS, hash = 'sha256'): string {
  const input = `${encode(head)}.${encode(payload)}`;
  return `${input}.${mac(input, secret, hash)}`;
}

const verify = (token: string) => tokens.verifyAccess(token, NOW).kind;

const good = tokens.signAccess(claims);
const [goodHead, goodPayload, goodSignature] = good.split('.') as [string, string, string];

describe('a token of ours', () => {
  test('says what was put into it', () => {
    expect(tokens.verifyAccess(good, NOW)).toEqual({ kind: 'valid', claims: access });
    const { gat: __, ...withoutGat } = claims;
    expect(tokens.verifyRefresh(tokens.signRefresh(withoutGat), NOW)).toEqual({ kind: 'valid', claims: refresh });
  });

  test('is what the forger of these tests makes with the right secret: what it is refused for below is not its make', () => {
    expect(verify(forge(header, access))).toBe('valid');
    expect(tokens.verifyRefresh(forge({ ...header, typ: 'rt+jwt' }, refresh, REFRESH), NOW).kind).toBe('valid');
  });

  test('expires at its exp exactly, and still says whose it was', () => {
    expect(tokens.verifyAccess(good, NOW + 900_000 - 1).kind).toBe('valid');
    expect(tokens.verifyAccess(good, NOW + 900_000)).toEqual({ kind: 'expired', claims: access });
  });

  test('keeps milliseconds', () => {
    const iat = (NOW + 1) / 1000;
    const token = tokens.signAccess({ ...claims, iat, gat: iat, exp: (NOW + 1 + accessTokenLifetime) / 1000 });
    expect(tokens.verifyAccess(token, NOW + 1)).toMatchObject({ kind: 'valid', claims: { iat, gat: iat } });
  });

  test('is good on the night in 2038 on which dates lose a bit of their fraction', () => {
    const night = 2 ** 31 - 450;
    for (let ms = 0; ms < 100; ms++) {
      const iat = (night * 1000 + ms) / 1000;
      const token = tokens.signAccess({ ...claims, iat, gat: iat, exp: iat + accessTokenLifetime / 1000 });
      expect(tokens.verifyAccess(token, night * 1000 + ms).kind).toBe('valid');
    }
  });

  test('names its key by a hash of the secret, which does not tell the secret', () => {
    const { kid } = JSON.parse(Buffer.from(goodHead, 'base64url').toString()) as { kid: string };
    expect(kid).toMatch(/^[\w-]{8}$/);
    expect(createHash('sha256').update(ACCESS).digest('base64url')).not.toContain(kid);
    expect(Buffer.from(goodPayload, 'base64url').toString()).not.toContain(ACCESS);
  });
});

describe('one kind of token in place of the other', () => {
  test('is refused, expired too', () => {
    const { gat: __, ...withoutGat } = claims;
    const refreshToken = tokens.signRefresh(withoutGat);
    expect(tokens.verifyAccess(refreshToken, NOW)).toEqual({ kind: 'invalid' });
    expect(tokens.verifyRefresh(good, NOW)).toEqual({ kind: 'invalid' });
    expect(tokens.verifyRefresh(good, NOW + accessTokenLifetime)).toEqual({ kind: 'invalid' });
  });

  test('is refused by its type, even if both had one secret', () => {
    const careless = createTokens({ accessSecrets: [ACCESS], refreshSecrets: [ACCESS], accessTokenLifetime });
    expect(careless.verifyRefresh(careless.signAccess(claims), NOW)).toEqual({ kind: 'invalid' });
    expect(careless.verifyAccess(forge({ ...header, typ: 'rt+jwt' }, access), NOW)).toEqual({ kind: 'invalid' });
  });

  test('is refused by its secret, even if it bears the right type', () => {
    expect(verify(forge(header, access, REFRESH))).toBe('invalid');
  });
});

describe('the algorithm', () => {
  test.each(['none', 'None', 'NONE', 'nOnE', 'none ', '', null, ['HS256'], 'HS256 ', 'hs256', undefined])(
    'may not be %j, with or without a signature',
    (alg) => {
      const input = `${encode({ ...header, alg })}.${encode(access)}`;
      for (const signature of ['', 'AAAA', mac(input, ACCESS)]) expect(verify(`${input}.${signature}`)).toBe('invalid');
    },
  );

  test('may not be a longer HMAC, even with our secret', () => {
    expect(verify(forge({ ...header, alg: 'HS384' }, access, ACCESS, 'sha384'))).toBe('invalid');
    expect(verify(forge({ ...header, alg: 'HS512' }, access, ACCESS, 'sha512'))).toBe('invalid');
  });

  test.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('may not be %s, whatever stands for the signature', (alg) => {
    expect(verify(forge({ ...header, alg }, access))).toBe('invalid');
    expect(verify(`${encode({ ...header, alg })}.${encode(access)}.${encode('\0'.repeat(64))}`)).toBe('invalid');
  });
});

describe('the header', () => {
  test.each(['JWT', 'at+JWT', 'application/at+jwt', 'rt+jwt', 'device+jwt', '', null, 1, undefined])(
    'may not have the type %j',
    (typ) => expect(verify(forge({ ...header, typ }, access))).toBe('invalid'),
  );

  test.each<Record<string, unknown>>([
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
  ])('may not ask for anything that we do not do: %j', (extra) => {
    expect(verify(forge({ ...header, ...extra }, access))).toBe('invalid');
  });

  test.each(['null', '[]', '"HS256"', '1', '', '{', '{"alg":"HS256","typ":"at+jwt"', '\u0000'])(
    'has to be an object: %j',
    (head) => expect(verify(forge(head, access))).toBe('invalid'),
  );

  test('that carries a key of its own is not verified with it', () => {
    const key = Buffer.alloc(32);
    const jwk = { kty: 'oct', k: key.toString('base64url') };
    expect(verify(forge({ ...header, jwk }, access, key))).toBe('invalid');
  });
});

describe('kid', () => {
  test.each(['../../../../dev/null', "x' UNION SELECT 'AAAA'-- ", '', '0', '__proto__', 'constructor', 'length'])(
    '%j picks no key, neither an empty one nor ours',
    (kid) => {
      for (const secret of [Buffer.alloc(0), 'AAAA', Buffer.from(kid), ACCESS])
        expect(verify(forge({ ...header, kid }, access, secret))).toBe('invalid');
    },
  );

  test.each([null, 1, ['a'], { toString: 'x' }])('may not be %j', (kid) => {
    expect(verify(forge({ ...header, kid }, access))).toBe('invalid');
  });

  test('lets a secret be replaced in steps, and a retired one is good for nothing', () => {
    const fresh = 'the next access secret, 32 bytes or more';
    const both = createTokens({ accessSecrets: [fresh, ACCESS], refreshSecrets: [REFRESH], accessTokenLifetime });
    const after = createTokens({ accessSecrets: [fresh], refreshSecrets: [REFRESH], accessTokenLifetime });
    expect(both.verifyAccess(good, NOW).kind).toBe('valid');
    expect(after.verifyAccess(good, NOW).kind).toBe('invalid');
    const next = both.signAccess(claims);
    expect(after.verifyAccess(next, NOW).kind).toBe('valid');
    expect(both.verifyAccess(next, NOW).kind).toBe('valid');
    expect(verify(next)).toBe('invalid');
  });

  test('of one key with the signature of another is refused, and without kid each key is tried', () => {
    const fresh = 'the next access secret, 32 bytes or more';
    const both = createTokens({ accessSecrets: [fresh, ACCESS], refreshSecrets: [REFRESH], accessTokenLifetime });
    const { kid } = JSON.parse(Buffer.from(goodHead, 'base64url').toString()) as { kid: string };
    expect(both.verifyAccess(forge({ ...header, kid }, access, fresh), NOW).kind).toBe('invalid');
    expect(both.verifyAccess(forge({ ...header, kid }, access, ACCESS), NOW).kind).toBe('valid');
    for (const secret of [fresh, ACCESS])
      expect(both.verifyAccess(forge(header, access, secret), NOW).kind).toBe('valid');
    expect(both.verifyAccess(forge(header, access, 'a third secret, with thirty-two bytes'), NOW).kind).toBe('invalid');
  });

  test('needs at least one secret', () => {
    expect(() => createTokens({ accessSecrets: [], refreshSecrets: [REFRESH], accessTokenLifetime })).toThrow();
  });
});

describe('the claims', () => {
  test.each(['iss', 'aud', 'sub', 'sid', 'gen', 'gat', 'iat', 'exp'])('may not lack %s', (name) => {
    const { [name as keyof typeof access]: __, ...rest } = access;
    expect(verify(forge(header, rest))).toBe('invalid');
  });

  test.each<[string, unknown[]]>([
    ['iss', ['', 'Latchkey', 'https://latchkey', null, ['latchkey'], 1]],
    ['aud', ['', 'other', null, ['latchkey'], ['latchkey', 'other'], 1]],
    ['sub', ['', null, 1, ['anna'], {}]],
    ['sid', ['', null, 1, ['session'], {}]],
    ['gen', [0, -1, 1.5, '3', null, true, 1e300, [3]]],
    ['gat', [-1, '1', null, true, {}]],
    ['iat', [-1, String(seconds), null, true, seconds + 61, 1e21]],
    ['exp', [-1, '9999999999', 1e21, null, true, seconds + 900.5, seconds + 365 * 86_400]],
    ['nbf', [seconds + 60, 'x', null]],
  ])('may not have a wrong %s', (name, values) => {
    for (const value of values)
      expect([value, verify(forge(header, { ...access, [name]: value }))]).toEqual([value, 'invalid']);
  });

  test('may come from a server whose clock is a little ahead', () => {
    const ahead = { ...access, iat: seconds + 60, exp: seconds + 960 };
    expect(verify(forge(header, ahead))).toBe('valid');
  });

  test('of a refresh token may not be wrong either', () => {
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

  test.each(['null', '[]', '"anna"', '1', '', 'foo', '{'])('have to be an object: %j', (payload) => {
    expect(verify(forge(header, payload))).toBe('invalid');
  });

  test('that stand there twice count as the last says, in every layer', () => {
    const twice = JSON.stringify(access).replace('{', '{"sub":"bert",');
    expect(tokens.verifyAccess(forge(header, twice), NOW)).toMatchObject({ kind: 'valid', claims: { sub: 'anna' } });
  });

  test('pollute nothing', () => {
    const polluted = JSON.stringify(access).replace('{', '{"__proto__":{"admin":true},');
    const verified = tokens.verifyAccess(forge(header, polluted), NOW);
    expect(Object.keys(verified.kind === 'invalid' ? {} : verified.claims).toSorted()).toEqual(
      Object.keys(access).toSorted(),
    );
    expect('admin' in {}).toBe(false);
  });
});

describe('the form', () => {
  const json = { payload: goodPayload, protected: goodHead, signature: goodSignature };

  test.each<[string, string]>([
    ['nothing', ''],
    ['one part', goodPayload],
    ['two parts', `${goodHead}.${goodPayload}`],
    ['no signature', `${goodHead}.${goodPayload}.`],
    ['no payload', `${goodHead}..${goodSignature}`],
    ['no header', `.${goodPayload}.${goodSignature}`],
    ['four parts', `${good}.${goodSignature}`],
    ['an empty fourth part', `${good}.`],
    ['five parts, as if encrypted', `${good}.AAAA.AAAA`],
    ['a padded signature', `${good}=`],
    ['a padded payload', `${goodHead}.${goodPayload}=.${goodSignature}`],
    ['a space behind', `${good} `],
    ['a space in front', ` ${good}`],
    ['a line break behind', `${good}\n`],
    ['an encoded space', `${good}%20`],
    ['a NUL', `${good}\0`],
    ['its signature cut', good.slice(0, -1)],
    ['its signature longer', `${good}A`],
    ['JSON, flattened', JSON.stringify(json)],
    ['JSON, general', JSON.stringify({ payload: goodPayload, signatures: [json] })],
  ])('may not be %s', (_name, token) => {
    expect(verify(token)).toBe('invalid');
  });

  test.each(['[object Object]', "' OR 1=1--", '{"$ne":null}', '%E0%A4%A', '...'])('may not be %j', (token) => {
    expect(verify(token)).toBe('invalid');
    expect(tokens.verifyRefresh(token, NOW)).toEqual({ kind: 'invalid' });
  });

  test('may not have any character of the signature changed, unused bits included', () => {
    for (let i = 0; i < goodSignature.length; i++) {
      const changed = goodSignature[i] === 'A' ? 'B' : 'A';
      const signature = goodSignature.slice(0, i) + changed + goodSignature.slice(i + 1);
      expect(verify(`${goodHead}.${goodPayload}.${signature}`)).toBe('invalid');
    }
    // 32 bytes leave two bits of the last character unused.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = alphabet.indexOf(goodSignature.at(-1)!);
    for (const bits of [1, 2, 3]) expect(verify(good.slice(0, -1) + alphabet[last ^ bits])).toBe('invalid');
  });

  test('may not use the other alphabet of base64', () => {
    // Claims whose encoding has both characters that the alphabets differ in.
    const sub = '\u00bf\u00bf\u00be>>>???';
    const token = tokens.signAccess({ ...claims, sub });
    expect(verify(token)).toBe('valid');
    const other = token.replaceAll('-', '+').replaceAll('_', '/');
    expect(other).not.toBe(token);
    expect(verify(other)).toBe('invalid');
  });

  test('is refused for its length before anything of it is read', () => {
    for (const length of [4_097, 15_000, 5_000_000]) {
      expect(verify('a'.repeat(length))).toBe('invalid');
      expect(verify(`${goodHead}.${'A'.repeat(length)}.${goodSignature}`)).toBe('invalid');
    }
    expect(verify(forge(header, { ...access, pad: 'x'.repeat(4_096) }))).toBe('invalid');
  });
});

/*
 * Wycheproof's HMAC cases. None of them is a token of ours (another `typ`, no claims), so none may be taken; that alone
 * would say little, so the flaw of each is grafted onto a token that is ours, which has to be refused for it.
 */
describe('Wycheproof', () => {
  const { tests } = vectors;
  const byId = new Map(tests.map((vector) => [vector.tcId, vector]));
  /** Which intact token a flawed one was made from, where it is neither 1 nor 357. */
  const ORIGINALS: Record<number, number> = { 363: 358, 364: 359 };

  /** Valid where the payload may be anything and the header may lack a type; ours may not. */
  const VALID = [1, 348, 352, 357, 358, 359, 376, 377];
  /** The same text as the valid 357: the padding that they are named for was lost on the way into the collection. */
  const SAME_AS_VALID = [367, 370];
  /** Called valid though they are no base64url (RFC 7515, section 2, allows nothing else): refusing them is stricter. */
  const LENIENT = [372, 373];
  /**
   * Unused bits of the payload that are not zero. In 374 they were changed after signing, like any other text; 375 was
   * signed with them, which nobody can do but us. There is no original to graft them from.
   */
  const UNUSED_BITS = [374, 375];

  test('is here as a whole', () => {
    expect(tests).toHaveLength(40);
    expect(tests.filter(({ result }) => result === 'valid').map(({ tcId }) => tcId)).toEqual(
      [...VALID, ...LENIENT].toSorted((a, b) => a - b),
    );
    for (const id of SAME_AS_VALID) expect(byId.get(id)!.jws).toBe(byId.get(357)!.jws);
  });

  test.each(tests)('$tcId $comment: is not taken for a token of ours, with its own key', ({ k, jws }) => {
    // The keys are bytes, which no string gives; what takes a string here takes bytes just as well.
    const key = Buffer.from(k, 'base64url') as unknown as string;
    const withItsKey = createTokens({ accessSecrets: [key], refreshSecrets: [key], accessTokenLifetime });
    expect(withItsKey.verifyAccess(jws, NOW)).toEqual({ kind: 'invalid' });
    expect(withItsKey.verifyRefresh(jws, NOW)).toEqual({ kind: 'invalid' });
  });

  test.each(tests.filter(({ tcId }) => VALID.includes(tcId)))(
    '$tcId $comment: its header and signature are good, with the claims and the type that ours have',
    ({ k, jws }) => {
      const key = Buffer.from(k, 'base64url');
      const [head, payload, signature] = jws.split('.') as [string, string, string];
      expect(mac(`${head}.${payload}`, key)).toBe(signature);
      const spaced = Buffer.from(head, 'base64url')
        .toString()
        .replace(/}$/, ',"typ":"at+jwt"}')
        .replace(/"kid"\s*:\s*"[^"]*",?/, '');
      const secret = key as unknown as string;
      const withItsKey = createTokens({ accessSecrets: [secret], refreshSecrets: [secret], accessTokenLifetime });
      expect(withItsKey.verifyAccess(forge(spaced, access, key), NOW).kind).toBe('valid');
    },
  );

  const flawed = tests.filter(
    ({ tcId, result }) => result === 'invalid' && ![...SAME_AS_VALID, ...UNUSED_BITS].includes(tcId),
  );

  test.each([...flawed, ...LENIENT.map((id) => byId.get(id)!)])(
    '$tcId $comment: what is wrong with it is wrong with a token of ours',
    ({ tcId, k, jws }) => {
      const grafted = graft(tcId, k, jws);
      expect(grafted).not.toBe(good);
      expect(verify(grafted)).toBe('invalid');
    },
  );

  /** Does to a token of ours what was done to the original: the same change at the same place of the same part. */
  function graft(tcId: number, k: string, jws: string): string {
    if (jws.startsWith('{')) return jws.replace(/"payload":"[^"]*"/, `"payload":"${goodPayload}"`);
    const before = byId.get(tcId < 100 ? 1 : (ORIGINALS[tcId] ?? 357))!.jws.split('.');
    const after = jws.split('.');
    const ours = good.split('.');
    const changed = after.map((part, i) => {
      const whole = before.indexOf(part);
      return ours[whole] ?? change(before[i] ?? '', part, ours[i] ?? '');
    });
    // Where the flawed text was signed as it stands, so is ours: then it is not for its signature that it is refused.
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
    // What was done at the end is done at the end of ours, which is of another length.
    const at = start === 0 ? 0 : ours.length - (before.length - start);
    return ours.slice(0, at) + inserted + ours.slice(at + before.length - end - start);
  }
});
