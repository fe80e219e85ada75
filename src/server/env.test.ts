import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readSettings } from './env.ts';
import { StartupError } from './startup-error.ts';

const secrets = {
  JWT_ACCESS_SECRET: 'zK3v9Qw2Lr8Xp5Tn1Bd7Mc4Hf6Js0Gy!access',
  JWT_REFRESH_SECRET: 'aE8u2Ro5Yt1Wq9Ip4Sd7Fg3Hj6Kl0Zx!refresh',
};

const read = (env: Record<string, string | undefined>) =>
  readSettings({ production: true, env: { ...secrets, ...env } });

function complaintFor(env: Record<string, string | undefined>): string {
  try {
    read(env);
  } catch (error) {
    if (error instanceof StartupError) return error.message;
    throw error;
  }
  throw new Error('The settings were accepted.');
}

/** Invalid values for every setting. */
const wrong: Record<string, string[]> = {
  PORT: ['-1', '65536', '80.5', '0x50', '3000 ', 'eighty', '1e3'],
  DATABASE_URL: [
    'postgres://localhost',
    'postgres:',
    'pg://localhost/app',
    './data/app.db',
    'file:',
    'file:app.db?mode=ro',
    'file://data/app.db',
    'file://',
    'mysql://x',
  ],
  ACCESS_TOKEN_EXPIRY: ['15', '0s', '900', '0.5s', '15 m', '15M', '-1m', '1w', '500ms', '401d', '9999999999s', 'm'],
  REFRESH_TOKEN_EXPIRY: ['7', '7 days', 'Infinity'],
  SESSION_MAX_AGE: ['30', 'forever'],
  CLIENT_URL: [
    '*',
    'shop.example.org',
    'https://shop.example.org/',
    'https://a.com/app',
    'https://A.com',
    'ftp://a.com',
    'null',
  ],
  APP_URL: ['*', 'app.example.org', 'https://app.example.org/', 'https://app.example.org/app', 'ftp://a.com'],
  MAIL_URL: ['smtp.example.org', 'https://smtp.example.org', 'smtp://', 'mailto:a@example.org'],
  MAIL_FROM: ['Latchkey', 'Latchkey <noreply>', 'noreply@', 'a@example.org\r\nBcc: b@example.org'],
  REGISTRATION_REVEALS_EMAIL: ['maybe', '2'],
  TRUST_PROXY: ['true', '11', '-1', 'loopback'],
  BCRYPT_COST: ['9', '4', '21', '12.5'],
  PASSWORD_MIN_LENGTH: ['7', '65', '0'],
  LOG_LEVEL: ['verbose', 'INFO'],
  JWT_ACCESS_SECRET: ['tooShort-x7Kq', `${secrets.JWT_ACCESS_SECRET},tooShort-x7Kq`],
  JWT_REFRESH_SECRET: ['tooShort-x7Kq'],
};

describe.each(['docs/operations.md', '.env.example'])('%s', (file) => {
  it.each(Object.keys(wrong))('documents %s', (name) => {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    expect(text).toMatch(new RegExp(`^(# |\\| \`)?${name}\\b`, 'm'));
  });
});

describe('readSettings', () => {
  it('has a default for everything but the secrets', () => {
    expect(read({})).toEqual({
      production: true,
      auditRetentionMs: 90 * 24 * 60 * 60_000,
      port: 3000,
      database: { kind: 'sqlite', path: './data/latchkey.db' },
      accessSecrets: [secrets.JWT_ACCESS_SECRET],
      refreshSecrets: [secrets.JWT_REFRESH_SECRET],
      accessTokenLifetimeMs: 15 * 60_000,
      refreshTokenLifetimeMs: 7 * 86_400_000,
      sessionMaxAgeMs: 30 * 86_400_000,
      appUrl: undefined,
      mail: undefined,
      registrationRevealsEmail: true,
      clientUrl: undefined,
      trustProxy: 0,
      bcryptCost: 12,
      passwordMinLength: 8,
      logLevel: 'info',
    });
  });

  it.each<[Record<string, string>, object]>([
    [{ PORT: '0' }, { port: 0 }],
    [{ PORT: '65535' }, { port: 65_535 }],
    [{ DATABASE_URL: 'file:/var/lib/app.db' }, { database: { kind: 'sqlite', path: '/var/lib/app.db' } }],
    [{ DATABASE_URL: 'file:///var/lib/app.db' }, { database: { kind: 'sqlite', path: '/var/lib/app.db' } }],
    [{ DATABASE_URL: 'file::memory:' }, { database: { kind: 'sqlite', path: ':memory:' } }],
    [{ DATABASE_URL: 'postgres://a:b@db/app' }, { database: { kind: 'postgres', url: 'postgres://a:b@db/app' } }],
    [{ DATABASE_URL: 'postgresql://db:1/app' }, { database: { kind: 'postgres', url: 'postgresql://db:1/app' } }],
    [{ ACCESS_TOKEN_EXPIRY: '1s' }, { accessTokenLifetimeMs: 1_000 }],
    [{ ACCESS_TOKEN_EXPIRY: '90s' }, { accessTokenLifetimeMs: 90_000 }],
    [{ REFRESH_TOKEN_EXPIRY: '12h' }, { refreshTokenLifetimeMs: 12 * 3_600_000 }],
    [{ SESSION_MAX_AGE: '400d' }, { sessionMaxAgeMs: 400 * 86_400_000 }],
    [{ CLIENT_URL: 'https://app.example.com' }, { clientUrl: 'https://app.example.com' }],
    [{ CLIENT_URL: 'http://localhost:5173' }, { clientUrl: 'http://localhost:5173' }],
    [{ TRUST_PROXY: '10' }, { trustProxy: 10 }],
    [{ BCRYPT_COST: '10' }, { bcryptCost: 10 }],
    [{ PASSWORD_MIN_LENGTH: '15' }, { passwordMinLength: 15 }],
    [{ LOG_LEVEL: 'silent' }, { logLevel: 'silent' }],
  ])('accepts %j', (env, settings) => {
    expect(read(env)).toMatchObject(settings);
  });

  it('refuses a MAIL_URL whose password cannot be read, saying how to write it', () => {
    const complaint = complaintFor({ MAIL_URL: 'smtp://ada:100%@mail.example.com', MAIL_FROM: 'ada@example.com' });
    expect(complaint).toMatch(/^ {2}MAIL_URL must be .* write % as %25/m);
    expect(complaint).not.toContain('100%');
  });

  describe.each(Object.entries(wrong))('%s', (name, values) => {
    it.each(values)('refuses %j, naming the setting', (value) => {
      const complaint = complaintFor({ [name]: value });
      expect(complaint).toMatch(new RegExp(`^ {2}${name} must be`, 'm'));
      expect(complaint.split('\n')).toHaveLength(2);
    });
  });

  it.each(Object.keys(wrong))('never quotes the value of %s: it may be a misplaced secret', (name) => {
    const misplaced = 'hunter2-hunter2';
    expect(complaintFor({ [name]: misplaced })).not.toContain(misplaced);
  });

  describe('secrets', () => {
    it('are each named when missing or empty', () => {
      for (const nothing of [undefined, '']) {
        const complaint = complaintFor({ JWT_ACCESS_SECRET: nothing, JWT_REFRESH_SECRET: nothing });
        expect(complaint).toMatch(/^ {2}JWT_ACCESS_SECRET must be set/m);
        expect(complaint).toMatch(/^ {2}JWT_REFRESH_SECRET must be set/m);
      }
    });

    it('must have at least 32 bytes', () => {
      const bytes = '0123456789abcdef0123456789abcde';
      expect(complaintFor({ JWT_ACCESS_SECRET: bytes })).toContain('at least 32 bytes');
      expect(read({ JWT_ACCESS_SECRET: `${bytes}f` }).accessSecrets).toEqual([`${bytes}f`]);
      expect(read({ JWT_ACCESS_SECRET: 'äöüßéèêçñøåæ_çïôû' }).accessSecrets).toHaveLength(1);
    });

    it.each([
      'change-me-change-me-change-me-change-me',
      'please CHANGE_THIS before you go live, really',
      'replace this with a secret of your own!!',
      'your-super-secret-jwt-key-for-production',
      'REPLACE_WITH_RANDOM_32_BYTES_PLEASE_OK',
      'secret-secret-secret-secret-secret',
      'a'.repeat(64),
      'password'.repeat(4),
      'abcde'.repeat(10),
    ])('must not be a placeholder: %s', (placeholder) => {
      const complaint = complaintFor({ JWT_REFRESH_SECRET: placeholder });
      expect(complaint).toMatch(/^ {2}JWT_REFRESH_SECRET must be random/m);
      expect(complaint).not.toContain(placeholder);
    });

    it('may be several, the first of which signs', () => {
      const next = 'nX5c2Vb8Zm1Qp9Lw4Tk7Rj3Hg6Fd0Sa!next';
      const { accessSecrets } = read({ JWT_ACCESS_SECRET: `${next}, ${secrets.JWT_ACCESS_SECRET}` });
      expect(accessSecrets).toEqual([next, secrets.JWT_ACCESS_SECRET]);
    });

    it('must all differ', () => {
      const equal = { JWT_REFRESH_SECRET: secrets.JWT_ACCESS_SECRET };
      expect(complaintFor(equal)).toMatch(/^ {2}JWT_REFRESH_SECRET must differ from JWT_ACCESS_SECRET/m);
      const shared = { JWT_REFRESH_SECRET: `${secrets.JWT_REFRESH_SECRET},${secrets.JWT_ACCESS_SECRET}` };
      expect(complaintFor(shared)).toContain('must differ');
      expect(complaintFor(equal)).not.toContain(secrets.JWT_ACCESS_SECRET);
    });

    // Regression: this was reported as a secret that both lists share.
    it.each(['JWT_ACCESS_SECRET', 'JWT_REFRESH_SECRET'] as const)('must not be repeated in %s', (name) => {
      const complaint = complaintFor({ [name]: `${secrets[name]},${secrets[name]}` });
      expect(complaint.split('\n').slice(1)).toEqual([`  ${name} must not name a secret twice`]);
    });

    it('must not have a gap in their list', () => {
      expect(complaintFor({ JWT_ACCESS_SECRET: `${secrets.JWT_ACCESS_SECRET},` })).toContain('JWT_ACCESS_SECRET');
    });
  });

  it('reports every invalid setting at once', () => {
    const complaint = complaintFor({ PORT: 'x', BCRYPT_COST: '4', JWT_ACCESS_SECRET: undefined, LOG_LEVEL: 'loud' });
    for (const name of ['PORT', 'BCRYPT_COST', 'JWT_ACCESS_SECRET', 'LOG_LEVEL'])
      expect(complaint).toMatch(new RegExp(`^ {2}${name} `, 'm'));
  });

  it('reports settings that conflict along with invalid ones', () => {
    const complaint = complaintFor({
      PORT: 'x',
      JWT_REFRESH_SECRET: secrets.JWT_ACCESS_SECRET,
      CLIENT_URL: 'http://app.example.com',
      MAIL_URL: 'smtp://smtp.example.com',
    });
    const names = complaint.match(/^ {2}\w+/gm)?.map((name) => name.trim());
    expect(names).toEqual(['PORT', 'JWT_REFRESH_SECRET', 'CLIENT_URL', 'MAIL_FROM', 'APP_URL']);
  });

  describe('mail', () => {
    const mail = {
      MAIL_URL: 'smtp://ada:secret@smtp.example.com:587',
      MAIL_FROM: 'Latchkey <noreply@example.com>',
      APP_URL: 'https://app.example.com',
    };

    it('is sent through MAIL_URL, with links to APP_URL', () => {
      expect(read(mail)).toMatchObject({
        appUrl: 'https://app.example.com',
        mail: { kind: 'smtp', url: mail.MAIL_URL },
      });
    });

    it.each([
      ['noreply@example.com', '', 'noreply@example.com'],
      ['<noreply@example.com>', '', 'noreply@example.com'],
      ['Latchkey <noreply@example.com>', 'Latchkey', 'noreply@example.com'],
      // Regression: of what follows a comma, another sender was made.
      ['Acme, Inc. <noreply@example.com>', 'Acme, Inc.', 'noreply@example.com'],
      [String.raw`"Acme \"A\", Inc." <noreply@example.com>`, 'Acme "A", Inc.', 'noreply@example.com'],
    ])('comes from %s', (MAIL_FROM, name, address) => {
      expect(read({ ...mail, MAIL_FROM })).toMatchObject({ mail: { from: { name, address } } });
    });

    it.each(['MAIL_FROM', 'APP_URL'])('needs %s', (name) => {
      const complaint = complaintFor({ ...mail, [name]: undefined });
      expect(complaint).toMatch(new RegExp(`^ {2}${name} must be set with MAIL_URL`, 'm'));
      expect(complaint).not.toContain('secret@');
    });

    it('needs an APP_URL with HTTPS in production', () => {
      expect(complaintFor({ ...mail, APP_URL: 'http://app.example.com' })).toContain(
        'APP_URL must begin with https://',
      );
    });

    it('is needed to hide which emails have accounts', () => {
      const hidden = { REGISTRATION_REVEALS_EMAIL: 'false' };
      expect(complaintFor(hidden)).toMatch(/^ {2}MAIL_URL must be set/m);
      expect(read({ ...mail, ...hidden })).toMatchObject({ registrationRevealsEmail: false });
    });

    it('goes to the mailbox in development', () => {
      const settings = readSettings({ production: false, env: secrets });
      expect(settings).toMatchObject({ mail: { kind: 'mailbox' }, appUrl: 'http://localhost:3000' });
    });
  });

  it('treats an empty setting as unset', () => {
    expect(read({ PORT: '', CLIENT_URL: '', SESSION_MAX_AGE: '' })).toEqual(read({}));
  });

  describe('the fallback', () => {
    it('is used for what the environment leaves unset', () => {
      const settings = readSettings({ production: false, env: {}, fallback: secrets });
      expect(settings).toMatchObject({ production: false, accessSecrets: [secrets.JWT_ACCESS_SECRET] });
    });

    it('yields to the environment, and is validated the same way', () => {
      const env = { JWT_ACCESS_SECRET: 'fromTheEnvironment-9Kd83Jx02Lq7Zm41!' };
      expect(readSettings({ production: false, env, fallback: secrets }).accessSecrets).toEqual([
        env.JWT_ACCESS_SECRET,
      ]);
      expect(() => readSettings({ production: false, env: {}, fallback: { ...secrets, PORT: 'x' } })).toThrow('PORT');
    });
  });
});
