import { setTimeout } from 'node:timers/promises';
import type { BrowserContext } from 'playwright-core';
import type { Grant } from '../../src/shared/auth.ts';

export function collectTokens(context: BrowserContext): string[] {
  const tokens: string[] = [];
  context.on('response', (response) => {
    if (/auth\.(register|login|refresh)$/.test(response.url()) && response.ok())
      void response.json().then(
        (body: { result: { data: Grant } }) => tokens.push(body.result.data.accessToken),
        // Replacing the page discards unread bodies.
        () => {},
      );
  });
  return tokens;
}

/** No event announces it. */
export async function expired(token: string): Promise<void> {
  await setTimeout(Math.max(0, claimsOf(token).exp * 1000 - Date.now()) + 1);
}

/** The most tokens issued within any `ms` milliseconds, by `iat`, so that the speed of the machine does not matter. */
export function mostWithin(ms: number, tokens: readonly string[]): number {
  const dates = tokens.map((token) => claimsOf(token).iat * 1000);
  return Math.max(...dates.map((from) => dates.filter((date) => date >= from && date < from + ms).length));
}

export async function refreshTokenOf(context: BrowserContext): Promise<string | undefined> {
  return (await context.cookies()).find(({ name }) => name === '__Host-refreshToken')?.value;
}

export const generationOf = (token: string): number => claimsOf(token).gen;

export const subjectOf = (token: string): string => claimsOf(token).sub;

interface Claims {
  sub: string;
  iat: number;
  exp: number;
  gen: number;
}

function claimsOf(token: string): Claims {
  const [, payload = ''] = token.split('.');
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims;
}
