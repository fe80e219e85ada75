import { z } from 'zod';
import { PASSWORD_MIN_LENGTH } from '../shared/auth.ts';
import { COOKIE_MAX_AGE_DAYS } from './auth/sessions/cookies.ts';
import { StartupError } from './startup-error.ts';

const MAX_DURATION_DAYS = COOKIE_MAX_AGE_DAYS;
/** RFC 7518, section 3.2: an HS256 key must be at least as long as the hash. */
const SECRET_MIN_BYTES = 32;
/** Anything with fewer was typed, not generated. */
const SECRET_MIN_DISTINCT_CHARACTERS = 6;
const PLACEHOLDER = /change[-_ ]?(me|this|it|in)(?![a-z])|replace[-_ ]?(me|this|with)(?![a-z])|^your[-_ ]/i;

const isRepetition = (secret: string) =>
  Array.from({ length: Math.floor(secret.length / 3) }, (_, index) => index + 1).some((period) =>
    secret.startsWith(secret.slice(period)),
  );

const MILLISECONDS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `15m`, `12h` or `7d`, in milliseconds. */
const durationMs = z.string().transform((text, ctx) => {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const ms = Number(amount) * MILLISECONDS[unit as keyof typeof MILLISECONDS];
  if (ms >= MILLISECONDS.s && ms <= MAX_DURATION_DAYS * MILLISECONDS.d) return ms;
  ctx.addIssue(
    `must be a duration from 1s to ${MAX_DURATION_DAYS}d: a whole number with a unit (s, m, h or d), like 15m or 7d`,
  );
  return z.NEVER;
});

const wholeNumber = (min: number, max: number) =>
  z.string().transform((text, ctx) => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max) return number;
    ctx.addIssue(`must be a whole number from ${min} to ${max}`);
    return z.NEVER;
  });

const GENERATE = 'for example the output of `openssl rand -base64 48`';

const secrets = z
  .string(`must be set to ${SECRET_MIN_BYTES} or more random bytes, ${GENERATE}`)
  .transform((text, ctx) => {
    const list = text.split(',').map((secret) => secret.trim());
    for (const secret of list) {
      if (Buffer.byteLength(secret) < SECRET_MIN_BYTES)
        ctx.addIssue(`must be at least ${SECRET_MIN_BYTES} bytes long, ${GENERATE}`);
      else if (
        PLACEHOLDER.test(secret) ||
        isRepetition(secret) ||
        new Set(secret).size < SECRET_MIN_DISTINCT_CHARACTERS
      )
        ctx.addIssue(`must be random, not a placeholder: ${GENERATE}`);
    }
    if (new Set(list).size < list.length) ctx.addIssue('must not name a secret twice');
    return list;
  });

const databaseUrl = z.string().transform((text, ctx) => {
  if (/^file:\/\/(?!\/)/.test(text)) {
    // RFC 8089, section 2. Taken for a path, it would be one from the root.
    ctx.addIssue('must be file:./data/latchkey.db, or file:///PATH: what follows file:// is the name of a host');
    return z.NEVER;
  }
  const path = /^file:(?:\/\/)?([^?#]+)$/.exec(text)?.[1];
  if (path !== undefined) return { kind: 'sqlite' as const, path };
  const url = /^postgres(ql)?:/.test(text) ? URL.parse(text) : null;
  if (url !== null && url.pathname.length > 1) return { kind: 'postgres' as const, url: text };
  ctx.addIssue(
    'must be file:PATH, like file:./data/latchkey.db, or for PostgreSQL postgres://USER:PASSWORD@HOST:PORT/DATABASE',
  );
  return z.NEVER;
});

const origin = z.string().transform((text, ctx) => {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.origin === text && !text.includes('*')) return text;
  ctx.addIssue('must be a single origin without a path or wildcard, like https://app.example.com');
  return z.NEVER;
});

const mailUrl = z.string().transform((text, ctx) => {
  const url = URL.parse(text);
  if (url !== null && /^smtps?:$/.test(url.protocol) && url.hostname !== '' && isDecodable(url)) return text;
  ctx.addIssue(
    'must be smtp://USER:PASSWORD@HOST:PORT, or smtps:// for TLS from the start; in USER and PASSWORD, write % as %25, @ as %40, / as %2F',
  );
  return z.NEVER;
});

/** A `%` in a password that is not part of an escape would be an exception wherever it is read. */
function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username);
    decodeURIComponent(password);
    return true;
  } catch {
    return false;
  }
}

/** `Name <address>` or an address (RFC 5322, section 3.4). */
const mailbox = z.string().transform((text, ctx) => {
  const [, name = '', address = text] = /^([^<>]*)<([^<>]+)>$/.exec(text) ?? [];
  if (z.email().safeParse(address).success && !/[\r\n]/.test(text)) return { name: unquoted(name.trim()), address };
  ctx.addIssue('must be an address like noreply@example.com, or Latchkey <noreply@example.com>');
  return z.NEVER;
});

/** A name with a comma need not be quoted here, but may be. */
const unquoted = (name: string) => /^"(.*)"$/.exec(name)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? name;

const schema = z.object({
  PORT: wholeNumber(0, 65_535).prefault('3000'),
  DATABASE_URL: databaseUrl.prefault('file:./data/latchkey.db'),
  JWT_ACCESS_SECRET: secrets,
  JWT_REFRESH_SECRET: secrets,
  ACCESS_TOKEN_EXPIRY: durationMs.prefault('15m'),
  REFRESH_TOKEN_EXPIRY: durationMs.prefault('7d'),
  SESSION_MAX_AGE: durationMs.prefault('30d'),
  AUDIT_RETENTION: durationMs.prefault('90d'),
  CLIENT_URL: origin.optional(),
  APP_URL: origin.optional(),
  MAIL_URL: mailUrl.optional(),
  MAIL_FROM: mailbox.optional(),
  REGISTRATION_REVEALS_EMAIL: z.stringbool({ error: 'must be true or false' }).prefault('true'),
  TRUST_PROXY: wholeNumber(0, 10).prefault('0'),
  BCRYPT_COST: wholeNumber(10, 20).prefault('12'),
  PASSWORD_MIN_LENGTH: wholeNumber(PASSWORD_MIN_LENGTH, 64).prefault(String(PASSWORD_MIN_LENGTH)),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      error: 'must be one of fatal, error, warn, info, debug, trace, silent',
    })
    .default('info'),
});
type Parsed = z.infer<typeof schema>;

export interface Settings {
  readonly production: boolean;
  readonly port: number;
  /** `path` of a file, or `:memory:`. `url` with the password: never log it. */
  readonly database: { kind: 'sqlite'; path: string } | { kind: 'postgres'; url: string };
  /** The first signs, all verify. */
  readonly accessSecrets: readonly string[];
  readonly refreshSecrets: readonly string[];
  readonly accessTokenLifetimeMs: number;
  readonly refreshTokenLifetimeMs: number;
  /** Absolute: rotation does not extend it. */
  readonly sessionMaxAgeMs: number;
  /** How long audit events are kept. */
  readonly auditRetentionMs: number;
  /** The public origin of the app, for links in mail. */
  readonly appUrl: string | undefined;
  /** Undefined: no mail is sent. `mailbox`: kept in memory and shown at /dev/mail. `url` with the password: never log it. */
  readonly mail:
    | { kind: 'smtp'; url: string; from: { name: string; address: string } }
    | { kind: 'mailbox' }
    | undefined;
  /** Whether registering says that there is an account with an email. */
  readonly registrationRevealsEmail: boolean;
  /** The origin of a client that is not served by this server. */
  readonly clientUrl: string | undefined;
  /** Number of proxies in front, whose `X-Forwarded-*` headers are trusted. */
  readonly trustProxy: number;
  readonly bcryptCost: number;
  /** In code points. */
  readonly passwordMinLength: number;
  readonly logLevel: z.infer<typeof schema>['LOG_LEVEL'];
}

/** Variables already set take precedence. */
export function loadEnvFile(): void {
  try {
    process.loadEnvFile('.env');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/**
 * Reads and validates all settings. Nothing else reads the environment.
 * @param options.fallback values for unset settings, such as the development secrets
 * @throws StartupError naming every invalid setting and what it should be, but never its value
 */
export function readSettings(options: {
  production: boolean;
  env?: Readonly<Record<string, string | undefined>>;
  fallback?: Readonly<Record<string, string>>;
}): Settings {
  const { production, env = process.env, fallback = {} } = options;
  // `PORT= npm start` and `PORT=` in .env both mean unset.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const all = { ...fallback, ...given };
  const parsed = schema.safeParse(all);
  const invalid = parsed.error?.issues.map(({ path, message }) => `${path.join('.')} ${message}`) ?? [];
  const conflicting = conflicts(all, production);
  if (!parsed.success || conflicting.length > 0) throw invalidSettings([...invalid, ...conflicting]);
  const settings = parsed.data;
  return {
    production,
    port: settings.PORT,
    database: settings.DATABASE_URL,
    accessSecrets: settings.JWT_ACCESS_SECRET,
    refreshSecrets: settings.JWT_REFRESH_SECRET,
    accessTokenLifetimeMs: settings.ACCESS_TOKEN_EXPIRY,
    refreshTokenLifetimeMs: settings.REFRESH_TOKEN_EXPIRY,
    sessionMaxAgeMs: settings.SESSION_MAX_AGE,
    auditRetentionMs: settings.AUDIT_RETENTION,
    appUrl: settings.APP_URL ?? (production ? undefined : `http://localhost:${settings.PORT}`),
    mail: mailSettings(settings, production),
    registrationRevealsEmail: settings.REGISTRATION_REVEALS_EMAIL,
    clientUrl: settings.CLIENT_URL,
    trustProxy: settings.TRUST_PROXY,
    bcryptCost: settings.BCRYPT_COST,
    passwordMinLength: settings.PASSWORD_MIN_LENGTH,
    logLevel: settings.LOG_LEVEL,
  };
}

/** Conflicts between settings that are valid on their own. */
function conflicts(all: Record<string, string | undefined>, production: boolean): string[] {
  const valid = <Name extends keyof Parsed>(name: Name) =>
    schema.shape[name].safeParse(all[name]).data as Parsed[Name] | undefined;
  const found: string[] = [];
  const accessSecrets = new Set(valid('JWT_ACCESS_SECRET'));
  if (valid('JWT_REFRESH_SECRET')?.some((secret) => accessSecrets.has(secret)))
    found.push(
      'JWT_REFRESH_SECRET must differ from JWT_ACCESS_SECRET, or one kind of token would be accepted as the other',
    );
  const [clientUrl, appUrl] = [valid('CLIENT_URL'), valid('APP_URL')];
  if (production && clientUrl !== undefined && !isSecureOrigin(clientUrl))
    found.push(
      'CLIENT_URL must begin with https:// in production: over plain HTTP, browsers drop the cookie and anyone on the network can read the traffic',
    );
  if (production && all.MAIL_URL === undefined && valid('REGISTRATION_REVEALS_EMAIL') === false)
    found.push(
      'MAIL_URL must be set where REGISTRATION_REVEALS_EMAIL is false: only a mail can tell who owns an email',
    );
  if (valid('MAIL_URL') === undefined) return found;
  if (all.MAIL_FROM === undefined) found.push('MAIL_FROM must be set with MAIL_URL: the address that mail comes from');
  if (production && all.APP_URL === undefined)
    found.push('APP_URL must be set with MAIL_URL: the public origin of the app, for links in mail');
  if (production && appUrl !== undefined && !isSecureOrigin(appUrl))
    found.push('APP_URL must begin with https:// in production');
  return found;
}

function mailSettings({ MAIL_URL, MAIL_FROM }: Parsed, production: boolean): Settings['mail'] {
  if (MAIL_URL !== undefined && MAIL_FROM !== undefined) return { kind: 'smtp', url: MAIL_URL, from: MAIL_FROM };
  return production ? undefined : { kind: 'mailbox' };
}

/**
 * Reads where a database is, for scripts, which need no secrets.
 * @param url of the database; that of the settings if undefined
 * @param name what the message calls it
 * @throws StartupError if it is invalid
 */
export function readDatabase(url = process.env.DATABASE_URL, name = 'DATABASE_URL'): Settings['database'] {
  const parsed = schema.shape.DATABASE_URL.safeParse(url === '' ? undefined : url);
  if (parsed.success) return parsed.data;
  throw invalidSettings(parsed.error.issues.map(({ message }) => `${name} ${message}`));
}

/** Whether servers send mail, for scripts: what they write to the outbox would otherwise stay there. */
export const sendsMail = (url = process.env.MAIL_URL): boolean => url !== undefined && url !== '';

/** Whether the secrets are set, which development generates: the other settings then are those of production, too. */
export const hasOwnSecrets = (secret = process.env.JWT_ACCESS_SECRET): boolean => secret !== undefined && secret !== '';

const invalidSettings = (complaints: string[]) =>
  new StartupError(['These settings are missing or invalid:', ...new Set(complaints)].join('\n  '));

/** Whether a hostname of a URL is this machine, wherever it is looked up. */
export const isLoopback = (hostname: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);

/** HTTPS, or a loopback host, which browsers trust just as much (W3C Secure Contexts, section 3.1). */
export function isSecureOrigin(origin: string): boolean {
  const { protocol, hostname } = new URL(origin);
  // Browsers never ask the network for names under localhost, but the resolvers of servers may (RFC 6761, section 6.3).
  return protocol === 'https:' || isLoopback(hostname) || hostname.endsWith('.localhost');
}
