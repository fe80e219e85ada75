import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { z } from 'zod';

const ISSUER = 'latchkey';
const AUDIENCE = 'latchkey';
/** RFC 9068, section 2.1, and by analogy. Either kind is refused in place of the other (RFC 8725, section 3.11). */
const ACCESS_TYPE = 'at+jwt';
const REFRESH_TYPE = 'rt+jwt';
const DEVICE_TYPE = 'device+jwt';
const ALGORITHM = 'HS256';
/** Bounds the work of parsing what was not signed by us. In characters. */
const TOKEN_MAX_LENGTH = 4096;
/** How far ahead the clock of another server may be. In seconds. */
const CLOCK_TOLERANCE = 60;

/*
 * Dates in tokens are NumericDates: seconds, with a fraction (RFC 7519, section 2). The protocol compares the dates of
 * copies with windows that short settings make as short as a second, so whole seconds would be too coarse.
 */
const date = z.number().nonnegative();
const registered = {
  iss: z.literal(ISSUER),
  aud: z.literal(AUDIENCE),
  sub: z.string().min(1),
  iat: date,
  exp: date,
};
/** `sub` is the user's id. */
const session = {
  ...registered,
  /** The session's id. */
  sid: z.string().min(1),
  /** The session's generation. */
  gen: z.number().int().positive(),
};
const refreshClaims = z.object(session);
/** `gat`: the date of the copy of the generation that the access token came with. */
const accessClaims = z.object({ ...session, gat: date });
/** A browser in which an account was signed in to: `sub` is the account's identifier, `jti` the browser's. See device.ts. */
const deviceClaims = z.object({ ...registered, jti: z.string().min(1) });
export type AccessClaims = z.infer<typeof accessClaims>;

/**
 * `valid`: signed by us, of the right kind, in time. `expired`: the same, but past its `exp`. `invalid`: all else; nothing
 * in such a token means anything.
 */
export type Verified<Claims> = { kind: 'valid' | 'expired'; claims: Claims } | { kind: 'invalid' };

interface Key {
  id: string;
  secret: KeyObject;
}

/** A KeyObject is made once: with a string, each verification would import it anew, which costs more than the HMAC. */
function toKey(secret: string): Key {
  const id = createHash('sha256').update(`kid:${secret}`).digest('base64url').slice(0, 8);
  return { id, secret: createSecretKey(Buffer.from(secret)) };
}

const toSeconds = (ms: number) => ms / 1000;

/**
 * One kind of token: its keys, its type and its claims.
 * @param secrets the first signs, all verify (by `kid`)
 */
function tokenKind<Claims extends { iat: number; exp: number }>(
  typ: string,
  schema: z.ZodType<Claims>,
  secrets: readonly string[],
) {
  const keys = secrets.map(toKey);
  const [signing] = keys;
  if (signing === undefined) throw new Error('A kind of token needs at least one secret.');
  // Strict: a header that we do not write, such as `crit`, `b64` or `jku`, asks for something that we do not do.
  const headerSchema = z.strictObject({ alg: z.literal(ALGORITHM), typ: z.literal(typ), kid: z.string().optional() });

  return {
    sign: (claims: Omit<Claims, 'iss' | 'aud'>): string =>
      jwt.sign({ iss: ISSUER, aud: AUDIENCE, ...claims }, signing.secret, {
        algorithm: ALGORITHM,
        header: { alg: ALGORITHM, typ, kid: signing.id },
      }),

    /** @param now milliseconds since the epoch */
    verify(token: string, now: number): Verified<Claims> {
      if (token.length > TOKEN_MAX_LENGTH) return { kind: 'invalid' };
      // The compact form and nothing else (RFC 7515, section 7.1): three parts of base64url without padding.
      const [, head] = /^([\w-]+)\.[\w-]+\.[\w-]+$/.exec(token) ?? [];
      if (head === undefined) return { kind: 'invalid' };
      // The library throws other errors than its own, for example where a payload is no JSON; all mean the same here.
      try {
        const { kid } = headerSchema.parse(JSON.parse(Buffer.from(head, 'base64url').toString()));
        // `kid` only picks among our own keys (RFC 8725, section 3.10).
        for (const key of keys.filter(({ id }) => kid === undefined || kid === id)) {
          const payload = signedPayload(token, key.secret, toSeconds(now));
          if (payload === undefined) continue;
          const claims = schema.parse(payload);
          return { kind: claims.exp > toSeconds(now) ? 'valid' : 'expired', claims };
        }
      } catch {
        return { kind: 'invalid' };
      }
      return { kind: 'invalid' };
    },
  };
}

/** The payload of a token signed with this key, or undefined where another key signed it. Expiry is left to the caller. */
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

/**
 * Signs and verifies every kind of token.
 * @param options.accessTokenLifetime milliseconds
 */
export function createTokens(options: {
  accessSecrets: readonly string[];
  refreshSecrets: readonly string[];
  accessTokenLifetime: number;
}) {
  const access = tokenKind(ACCESS_TYPE, accessClaims, options.accessSecrets);
  const refresh = tokenKind(REFRESH_TYPE, refreshClaims, options.refreshSecrets);
  const device = tokenKind(DEVICE_TYPE, deviceClaims, options.refreshSecrets);

  return {
    signAccess: access.sign,
    signRefresh: refresh.sign,
    verifyRefresh: refresh.verify,
    signDevice: device.sign,
    verifyDevice: device.verify,
    /** As `verifyRefresh`; a token that lives longer than ours do, or was issued in the future, is not one of ours. */
    verifyAccess(token: string, now: number): Verified<AccessClaims> {
      const verified = access.verify(token, now);
      if (verified.kind === 'invalid') return verified;
      const { iat, exp } = verified.claims;
      // In whole milliseconds: from 2^31 on, in 2038, the fraction of a NumericDate has a bit less, and the difference of
      // two that lie on either side of it is not exact.
      const lifetime = Math.round((exp - iat) * 1000);
      const ours = lifetime <= options.accessTokenLifetime && iat <= toSeconds(now) + CLOCK_TOLERANCE;
      return ours ? verified : { kind: 'invalid' };
    },
  };
}
export type Tokens = ReturnType<typeof createTokens>;
