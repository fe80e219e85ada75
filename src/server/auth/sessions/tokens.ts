import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { roles } from '../../../shared/auth.ts';

const ISSUER = 'latchkey';
const AUDIENCE = 'latchkey';
/** RFC 9068, section 2.1; the others by analogy. Keeps one kind from passing as another (RFC 8725, section 3.11). */
const ACCESS_TYPE = 'at+jwt';
const REFRESH_TYPE = 'rt+jwt';
const DEVICE_TYPE = 'device+jwt';
const LINK_TYPE = 'link+jwt';
const ALGORITHM = 'HS256';
/** In characters. Bounds the work spent on tokens that are not ours. */
const TOKEN_MAX_LENGTH = 4096;
/** One for each connection that may be open: an open page sends the same one again and again. */
const REMEMBERED_MAX = 10_000;
/** All tokens of one kind and key share one header. */
const HEADERS_MAX = 16;
const CLOCK_TOLERANCE_SECONDS = 60;

/** Fractional seconds (RFC 7519, section 2): with short lifetimes the reuse interval is a second or less. */
const numericDate = z.number().nonnegative();
const registered = {
  iss: z.literal(ISSUER),
  aud: z.literal(AUDIENCE),
  sub: z.string().min(1),
  iat: numericDate,
  exp: numericDate,
};
/** `sub`: user ID, `sid`: session ID, `gen`: generation. */
const session = {
  ...registered,
  sid: z.string().min(1),
  gen: z.number().int().positive(),
};
const refreshClaims = z.object(session);
/** `gat`: the `iat` of the refresh token it was issued with. `role` is for other services: this one asks the database. */
const accessClaims = z.object({ ...session, gat: numericDate, role: z.enum(roles) });
/** See known-devices.ts. `sub` identifies the account, `jti` the browser. */
const deviceClaims = z.object({ ...registered, jti: z.string().min(1) });
/** See links.ts. `jti` is the ID of the link. */
const linkClaims = z.object({ ...registered, jti: z.string().min(1), purpose: z.string().min(1) });

/** `expired` is valid but for its `exp`. Nothing in an `invalid` token can be trusted. */
export type Verified<Claims> = { kind: 'valid' | 'expired'; claims: Claims } | { kind: 'invalid' };

interface Key {
  id: string;
  secret: KeyObject;
}

/** A KeyObject, because importing a string for every verification costs more than the HMAC. */
function toKey(secret: string): Key {
  const id = createHash('sha256').update(`kid:${secret}`).digest('base64url').slice(0, 8);
  return { id, secret: createSecretKey(Buffer.from(secret)) };
}

const toSeconds = (ms: number) => ms / 1000;

/**
 * Signs and verifies one kind of token.
 * @param secrets the first signs; all verify, selected by `kid`, so that secrets can be rotated
 * @param remembered caches verified claims; in memory only, so the restart that removes a secret also forgets what it
 *   signed
 */
function tokenKind<Claims extends { iat: number; exp: number }>(
  typ: string,
  schema: z.ZodType<Claims>,
  secrets: readonly string[],
  remembered?: LRUCache<string, Claims>,
) {
  const keys = secrets.map(toKey);
  const [signing] = keys;
  if (signing === undefined) throw new Error('At least one secret is required.');
  // Strict: parameters we never write, such as `crit`, `b64` or `jku`, ask for something we do not support.
  const headerSchema = z.strictObject({ alg: z.literal(ALGORITHM), typ: z.literal(typ), kid: z.string().optional() });
  const keysFor = new LRUCache<string, Key[]>({
    max: HEADERS_MAX,
    memoMethod(header) {
      const { kid } = headerSchema.parse(JSON.parse(Buffer.from(header, 'base64url').toString()));
      // `kid` selects only among our own keys (RFC 8725, section 3.10).
      return keys.filter(({ id }) => kid === undefined || kid === id);
    },
  });

  function signedClaims(token: string, now: number): Claims | undefined {
    if (token.length > TOKEN_MAX_LENGTH) return undefined;
    // Compact serialization only (RFC 7515, section 7.1): three parts of unpadded base64url.
    const [, header] = /^([\w-]+)\.[\w-]+\.[\w-]+$/.exec(token) ?? [];
    if (header === undefined) return undefined;
    // The library also throws errors other than its own, for example if the payload is not JSON. All mean invalid.
    try {
      for (const key of keysFor.memo(header)) {
        const payload = signedPayload(token, key.secret, toSeconds(now));
        if (payload !== undefined) return Object.freeze(schema.parse(payload));
      }
    } catch {
      return undefined;
    }
    return undefined;
  }

  return {
    sign: (claims: Omit<Claims, 'iss' | 'aud'>): string =>
      jwt.sign({ iss: ISSUER, aud: AUDIENCE, ...claims }, signing.secret, {
        algorithm: ALGORITHM,
        header: { alg: ALGORITHM, typ, kid: signing.id },
      }),

    verify(token: string, now: number): Verified<Claims> {
      // Keyed by the whole token, signature included: equal claims do not make two tokens equally valid.
      let claims = remembered?.get(token);
      if (claims === undefined) {
        claims = signedClaims(token, now);
        if (claims === undefined) return { kind: 'invalid' };
        remembered?.set(token, claims);
      }
      return { kind: claims.exp > toSeconds(now) ? 'valid' : 'expired', claims };
    },
  };
}

function signedPayload(token: string, key: KeyObject, now: number): unknown {
  try {
    return jwt.verify(token, key, {
      algorithms: [ALGORITHM],
      issuer: ISSUER,
      audience: AUDIENCE,
      ignoreExpiration: true,
      clockTimestamp: now,
    });
  } catch (error) {
    if (error instanceof jwt.JsonWebTokenError && error.message === 'invalid signature') return undefined;
    throw error;
  }
}

/** Times in claims are NumericDates; `now` is in milliseconds since the epoch. */
export function createTokens(options: {
  accessSecrets: readonly string[];
  refreshSecrets: readonly string[];
  accessTokenLifetimeMs: number;
}) {
  // A page sends one access token with hundreds of calls, and verifying it costs more than reading the rows.
  const remembered = new LRUCache<string, z.infer<typeof accessClaims>>({ max: REMEMBERED_MAX });
  const access = tokenKind(ACCESS_TYPE, accessClaims, options.accessSecrets, remembered);
  const refresh = tokenKind(REFRESH_TYPE, refreshClaims, options.refreshSecrets);
  const device = tokenKind(DEVICE_TYPE, deviceClaims, options.refreshSecrets);
  const link = tokenKind(LINK_TYPE, linkClaims, options.refreshSecrets);

  return {
    signAccess: access.sign,
    signRefresh: refresh.sign,
    verifyRefresh: refresh.verify,
    signDevice: device.sign,
    verifyDevice: device.verify,
    signLink: link.sign,
    verifyLink: link.verify,
    /** Also rejects tokens issued in the future or with a longer lifetime than ours. */
    verifyAccess(token: string, now: number): Verified<z.infer<typeof accessClaims>> {
      const verified = access.verify(token, now);
      if (verified.kind === 'invalid') return verified;
      const { iat, exp } = verified.claims;
      // Rounded: from 2^31, in 2038, NumericDates lose a bit of their fraction.
      const lifetime = Math.round((exp - iat) * 1000);
      const ours = lifetime <= options.accessTokenLifetimeMs && iat <= toSeconds(now) + CLOCK_TOLERANCE_SECONDS;
      return ours ? verified : { kind: 'invalid' };
    },
  };
}
export type Tokens = ReturnType<typeof createTokens>;
