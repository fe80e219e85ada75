import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';

const ISSUER = 'latchkey';
const AUDIENCE = 'latchkey';
/** RFC 9068, section 2.1; the others by analogy. They keep one kind from passing as another (RFC 8725, section 3.11). */
const ACCESS_TYPE = 'at+jwt';
const REFRESH_TYPE = 'rt+jwt';
const DEVICE_TYPE = 'device+jwt';
const ALGORITHM = 'HS256';
/** Bounds the work spent on tokens that are not ours. In characters. */
const TOKEN_MAX_LENGTH = 4096;
/** How many verified access tokens are remembered: about 1 KB each. */
const REMEMBERED_MAX = 5_000;
/** How far ahead another server's clock may be. */
const CLOCK_TOLERANCE_SECONDS = 60;

/**
 * Seconds with a fraction (RFC 7519, section 2). Whole seconds are too coarse for the reuse interval, which is a second or less
 * with short settings.
 */
const numericDate = z.number().nonnegative();
const registered = {
  iss: z.literal(ISSUER),
  aud: z.literal(AUDIENCE),
  sub: z.string().min(1),
  iat: numericDate,
  exp: numericDate,
};
/** `sub` is the user's id, `sid` the session's, `gen` its generation. */
const session = {
  ...registered,
  sid: z.string().min(1),
  gen: z.number().int().positive(),
};
const refreshClaims = z.object(session);
/** `gat`: the `iat` of the refresh token that the access token came with. */
const accessClaims = z.object({ ...session, gat: numericDate });
/** A browser that has signed in to an account: `sub` identifies the account, `jti` the browser. See known-devices.ts. */
const deviceClaims = z.object({ ...registered, jti: z.string().min(1) });

/**
 * `valid`: signed by us, of the right kind, and not expired. `expired`: valid but for its `exp`. `invalid`: anything else, and
 * nothing in it can be trusted.
 */
export type Verified<Claims> = { kind: 'valid' | 'expired'; claims: Claims } | { kind: 'invalid' };

interface Key {
  id: string;
  secret: KeyObject;
}

/** A KeyObject, because importing a string at every verification costs more than the HMAC. */
function toKey(secret: string): Key {
  const id = createHash('sha256').update(`kid:${secret}`).digest('base64url').slice(0, 8);
  return { id, secret: createSecretKey(Buffer.from(secret)) };
}

const toSeconds = (ms: number) => ms / 1000;

/**
 * Signs and verifies one kind of token.
 * @param secrets the first signs; all verify, selected by `kid`, so that a secret can be rotated
 * @param remembered keeps the claims of verified tokens. In memory only: a secret is taken out of the settings by a restart, and
 *   what it had signed is then forgotten
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
  // Strict: a parameter that we do not write, such as `crit`, `b64` or `jku`, asks for something that we do not support.
  const headerSchema = z.strictObject({ alg: z.literal(ALGORITHM), typ: z.literal(typ), kid: z.string().optional() });

  /** The claims of a token that we signed, even if it has expired; undefined for any other. */
  function signedClaims(token: string, now: number): Claims | undefined {
    if (token.length > TOKEN_MAX_LENGTH) return undefined;
    // Compact serialization only (RFC 7515, section 7.1): three parts of unpadded base64url.
    const [, head] = /^([\w-]+)\.[\w-]+\.[\w-]+$/.exec(token) ?? [];
    if (head === undefined) return undefined;
    // The library also throws errors that are not its own, for example if the payload is not JSON. All mean invalid.
    try {
      const { kid } = headerSchema.parse(JSON.parse(Buffer.from(head, 'base64url').toString()));
      // `kid` only selects among our own keys (RFC 8725, section 3.10).
      for (const key of keys.filter(({ id }) => kid === undefined || kid === id)) {
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
      // The key is the whole token, signature included: two tokens with the same claims are not equally valid.
      let claims = remembered?.get(token);
      if (claims === undefined) {
        claims = signedClaims(token, now);
        if (claims === undefined) return { kind: 'invalid' };
        remembered?.set(token, claims);
      }
      // At every call: what is remembered does not stop the clock.
      return { kind: claims.exp > toSeconds(now) ? 'valid' : 'expired', claims };
    },
  };
}

/** The payload of a token, or undefined where another key signed it. The caller checks `exp`. */
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

/** Signs and verifies every kind of token. Times in claims are NumericDates, `now` is in milliseconds since the epoch. */
export function createTokens(options: {
  accessSecrets: readonly string[];
  refreshSecrets: readonly string[];
  accessTokenLifetimeMs: number;
}) {
  // A page sends the same access token with hundreds of calls, and to verify it costs more than to read session and user.
  const remembered = new LRUCache<string, z.infer<typeof accessClaims>>({ max: REMEMBERED_MAX });
  const access = tokenKind(ACCESS_TYPE, accessClaims, options.accessSecrets, remembered);
  const refresh = tokenKind(REFRESH_TYPE, refreshClaims, options.refreshSecrets);
  const device = tokenKind(DEVICE_TYPE, deviceClaims, options.refreshSecrets);

  return {
    signAccess: access.sign,
    signRefresh: refresh.sign,
    verifyRefresh: refresh.verify,
    signDevice: device.sign,
    verifyDevice: device.verify,
    /** Also refuses a token issued in the future, or with a longer lifetime than ours. */
    verifyAccess(token: string, now: number): Verified<z.infer<typeof accessClaims>> {
      const verified = access.verify(token, now);
      if (verified.kind === 'invalid') return verified;
      const { iat, exp } = verified.claims;
      // Rounded: at 2^31, in 2038, the fraction of a NumericDate loses a bit, and a difference across that moment is inexact.
      const lifetime = Math.round((exp - iat) * 1000);
      const ours = lifetime <= options.accessTokenLifetimeMs && iat <= toSeconds(now) + CLOCK_TOLERANCE_SECONDS;
      return ours ? verified : { kind: 'invalid' };
    },
  };
}
export type Tokens = ReturnType<typeof createTokens>;
