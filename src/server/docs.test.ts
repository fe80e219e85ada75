import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { ACCOUNT_LIMITS } from './account/change.ts';
import { LIMITS } from './auth/limits/throttle.ts';
import { EMAIL_CHANGE_LIMITS } from './email-change/change.ts';
import { VERIFICATION_LIMITS } from './email-verification/verification.ts';
import { RESET_LIMITS } from './password-reset/reset.ts';

const security = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };

const seconds = (text: string) => {
  const [amount, unit] = text.trim().split(' ');
  return Number(amount) * SECONDS[unit as keyof typeof SECONDS];
};

describe('the documentation', () => {
  it('names only scripts that package.json has', () => {
    const docs = readdirSync(new URL('../../docs', import.meta.url)).filter((name) => name.endsWith('.md'));
    const named = ['README.md', ...docs.map((name) => `docs/${name}`)].flatMap((name) => {
      const text = readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
      return Array.from(text.matchAll(/\bnpm run ([\w:]+)/g), ([, script = '']) => script);
    });
    expect(new Set(named).size).toBeGreaterThan(10);
    expect(named.filter((script) => !Object.hasOwn(manifest.scripts, script))).toEqual([]);
  });
});

describe('docs/security.md', () => {
  it('names only existing test files', () => {
    const files = ['src', 'e2e', 'scripts'].flatMap((folder) =>
      readdirSync(new URL(`../../${folder}`, import.meta.url), { recursive: true, encoding: 'utf8' }).map(
        (file) => `${folder}/${file}`,
      ),
    );
    const named = new Set(Array.from(security.matchAll(/`([\w./-]+\.test\.tsx?)`/g), ([, name = '']) => name));
    expect(named.size).toBeGreaterThan(10);
    for (const name of named)
      expect([name, files.some((file) => `/${file}`.endsWith(`/${name}`))]).toEqual([name, true]);
  });

  it('states the limits of the code', () => {
    const rows = security.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
    const documented = rows.flatMap(([, name = '', , points = '', duration = '']) =>
      /^`\w+`$/.test(name) && points !== ''
        ? [[name.slice(1, -1), { points: Number(points), durationSeconds: seconds(duration) }]]
        : [],
    );
    const { backoff, ...limits } = LIMITS;
    const features = { ...ACCOUNT_LIMITS, ...RESET_LIMITS, ...VERIFICATION_LIMITS, ...EMAIL_CHANGE_LIMITS };
    expect(Object.fromEntries(documented) as unknown).toEqual({ ...limits, ...features });
    const [, first, max] = /first wait is (\d+ s), .* at most (\d+ h)/.exec(security) ?? [];
    expect({ firstSeconds: seconds(first ?? ''), maxSeconds: seconds(max ?? '') }).toEqual(backoff);
  });
});
