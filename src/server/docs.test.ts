import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LIMITS } from './auth/throttle.ts';

const security = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };

const seconds = (text: string) => {
  const [amount, unit] = text.trim().split(' ');
  return Number(amount) * SECONDS[unit as keyof typeof SECONDS];
};

test('the limits in docs/security.md are those of the code', () => {
  const rows = security.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  const documented = rows.flatMap(([, name = '', , points = '', duration = '']) =>
    /^`\w+`$/.test(name) && points !== ''
      ? [[name.slice(1, -1), { points: Number(points), duration: seconds(duration) }]]
      : [],
  );
  const { backoff, ...limits } = LIMITS;
  expect(Object.fromEntries(documented) as unknown).toEqual(limits);
  const [, first, most] = /each try waits (\d+ s), .* at most (\d+ h)/.exec(security) ?? [];
  expect({ first: seconds(first ?? ''), most: seconds(most ?? '') }).toEqual(backoff);
});
