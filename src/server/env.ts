import { z } from 'zod';
import { PASSWORD_MIN_LENGTH } from '../shared/auth.ts';
import { StartupError } from './startup-error.ts';

/** Browsers keep no cookie for longer (RFC 6265bis, section 5.5). */
const LONGEST_DURATION_DAYS = 400;
/** RFC 7518, section 3.2: a key at least as long as the hash that it is used with. */
const SECRET_MIN_BYTES = 32;
/** What repeats this few characters was typed, not drawn at random. */
const SECRET_MIN_DISTINCT_CHARACTERS = 6;
/** Secrets as they stand in tutorials and in `.env.example`. */
const PLACEHOLDER = /change[-_ ]?(me|this|it|in)(?![a-z])|replace[-_ ]?(me|this|with)(?![a-z])|^your[-_ ]/i;

/** The same again and again, three times or more, the last perhaps cut off. */
const isRepetition = (secret: string) =>
  Array.from({ length: Math.floor(secret.length / 3) }, (_, index) => index + 1).some((period) =>
    secret.startsWith(secret.slice(period)),
  );

const MILLISECONDS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration as settings are written (`90s`, `15m`, `12h`, `7d`); in milliseconds. */
const duration = z.string().transform((text, ctx) => {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const ms = Number(amount) * MILLISECONDS[unit as keyof typeof MILLISECONDS];
  if (ms >= MILLISECONDS.s && ms <= LONGEST_DURATION_DAYS * MILLISECONDS.d) return ms;
  ctx.addIssue(
    `must be a duration from 1s to ${LONGEST_DURATION_DAYS}d, a whole number with a unit (s, m, h, d): 15m, 7d`,
  );
  return z.NEVER;
});

const wholeNumber = (least: number, most: number) =>
  z.string().transform((text, ctx) => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    ctx.addIssue(`must be a whole number from ${least} to ${most}`);
    return z.NEVER;
  });

/** One secret, or several separated by commas: the first signs, all verify. So a secret can be replaced in steps. */
const secrets = z
  .string('must be set: 32 random bytes or more, for example from `openssl rand -base64 48`')
  .transform((text, ctx) => {
    const list = text.split(',').map((secret) => secret.trim());
    for (const secret of list) {
      if (Buffer.byteLength(secret) < SECRET_MIN_BYTES)
        ctx.addIssue(`must be at least ${SECRET_MIN_BYTES} bytes long, for example from \`openssl rand -base64 48\``);
      else if (
        PLACEHOLDER.test(secret) ||
        isRepetition(secret) ||
        new Set(secret).size < SECRET_MIN_DISTINCT_CHARACTERS
      )
        ctx.addIssue('must be random, not a placeholder: for example from `openssl rand -base64 48`');
    }
    return list;
  });

const databaseUrl = z.string().transform((text, ctx) => {
  const path = /^file:(?:\/\/(?=\/))?([^?#]+)$/.exec(text)?.[1];
  if (path !== undefined) return { kind: 'sqlite' as const, path };
  ctx.addIssue('must be file:PATH, like file:./data/latchkey.db (SQLite is the one database there is so far)');
  return z.NEVER;
});

/** The origin of a web page: scheme, host and port, with nothing behind them. */
const origin = z.string().transform((text, ctx) => {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.origin === text && !text.includes('*')) return text;
  ctx.addIssue('must be one origin without a path, like https://app.example.com (a wildcard is not possible)');
  return z.NEVER;
});

const schema = z
  .object({
    PORT: wholeNumber(0, 65_535).prefault('3000'),
    DATABASE_URL: databaseUrl.prefault('file:./data/latchkey.db'),
    JWT_ACCESS_SECRET: secrets,
    JWT_REFRESH_SECRET: secrets,
    ACCESS_TOKEN_EXPIRY: duration.prefault('15m'),
    REFRESH_TOKEN_EXPIRY: duration.prefault('7d'),
    SESSION_MAX_AGE: duration.prefault('30d'),
    CLIENT_URL: origin.optional(),
    TRUST_PROXY: wholeNumber(0, 10).prefault('0'),
    BCRYPT_COST: wholeNumber(10, 20).prefault('12'),
    PASSWORD_MIN_LENGTH: wholeNumber(PASSWORD_MIN_LENGTH, 64).prefault(String(PASSWORD_MIN_LENGTH)),
    LOG_LEVEL: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
        error: 'must be one of fatal, error, warn, info, debug, trace, silent',
      })
      .default('info'),
  })
  .superRefine((env, ctx) => {
    const all = [...env.JWT_ACCESS_SECRET, ...env.JWT_REFRESH_SECRET];
    if (new Set(all).size < all.length)
      ctx.addIssue({
        code: 'custom',
        path: ['JWT_REFRESH_SECRET'],
        message: 'must differ from JWT_ACCESS_SECRET, or each kind of token could be passed off as the other',
      });
  });

export interface Settings {
  readonly production: boolean;
  /** TCP port; 0 takes a free one. */
  readonly port: number;
  /** A file's path, or `:memory:`. */
  readonly database: { kind: 'sqlite'; path: string };
  /** The first signs, all verify. */
  readonly accessSecrets: readonly string[];
  readonly refreshSecrets: readonly string[];
  /** Milliseconds. */
  readonly accessTokenLifetime: number;
  /** Milliseconds; idle: it starts anew with each rotation. */
  readonly refreshTokenLifetime: number;
  /** Milliseconds; absolute, from signing in. */
  readonly sessionMaxAge: number;
  /** The origin of a client that this server does not serve itself. */
  readonly clientUrl: string | undefined;
  /** Number of proxies in front, whose `X-Forwarded-*` are believed. */
  readonly trustProxy: number;
  readonly bcryptCost: number;
  /** In code points. */
  readonly passwordMinLength: number;
  readonly logLevel: z.infer<typeof schema>['LOG_LEVEL'];
}

/** Adds what a file named `.env` says, if there is one. What the environment says already wins. */
export function loadEnvFile(): void {
  try {
    process.loadEnvFile('.env');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/**
 * Reads and checks every setting, once. The only place that looks at the environment.
 * @param options.production in development missing secrets are taken from `options.fallback`
 * @throws StartupError naming each setting at fault and what it should be, never its value
 */
export function readSettings(options: {
  production: boolean;
  env?: Readonly<Record<string, string | undefined>>;
  fallback?: Readonly<Record<string, string>>;
}): Settings {
  const { production, env = process.env, fallback = {} } = options;
  // An empty value is an unset one: `PORT= npm start`, or a line without a value in a file of settings.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = schema.safeParse({ ...fallback, ...given });
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path, message }) => `  ${path.join('.')} ${message}`);
    throw new StartupError(['These settings are missing or wrong:', ...new Set(lines)].join('\n'));
  }
  const settings = parsed.data;
  if (production && settings.CLIENT_URL !== undefined && !isSecureOrigin(settings.CLIENT_URL))
    throw new StartupError(
      'These settings are missing or wrong:\n  CLIENT_URL must begin with https:// in production: over plain HTTP browsers drop the cookie, and anybody on the way can read along',
    );
  return {
    production,
    port: settings.PORT,
    database: settings.DATABASE_URL,
    accessSecrets: settings.JWT_ACCESS_SECRET,
    refreshSecrets: settings.JWT_REFRESH_SECRET,
    accessTokenLifetime: settings.ACCESS_TOKEN_EXPIRY,
    refreshTokenLifetime: settings.REFRESH_TOKEN_EXPIRY,
    sessionMaxAge: settings.SESSION_MAX_AGE,
    clientUrl: settings.CLIENT_URL,
    trustProxy: settings.TRUST_PROXY,
    bcryptCost: settings.BCRYPT_COST,
    passwordMinLength: settings.PASSWORD_MIN_LENGTH,
    logLevel: settings.LOG_LEVEL,
  };
}

/** Over HTTPS, or on this machine, which browsers trust as much (W3C Secure Contexts, section 3.1). */
export function isSecureOrigin(origin: string): boolean {
  const { protocol, hostname } = new URL(origin);
  return protocol === 'https:' || /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}
