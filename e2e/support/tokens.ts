import { setTimeout } from 'node:timers/promises';
import type { BrowserContext } from 'playwright-core';
import type { Grant } from '../../src/shared/auth.ts';

/** Collects the access tokens that the server issues to this browser, in order. */
export function collectTokens(context: BrowserContext): string[] {
  const tokens: string[] = [];
  context.on('response', (response) => {
    if (/auth\.(register|login|refresh)$/.test(response.url()) && response.ok())
      void response.json().then(
        (body: { result: { data: Grant } }) => tokens.push(body.result.data.accessToken),
        // The body is gone if the page is replaced before it was read.
        () => {},
      );
  });
  return tokens;
}

/** Waits until the token has expired, by its `exp`: no event announces it. */
export async function expired(token: string): Promise<void> {
  await setTimeout(Math.max(0, claimsOf(token).exp * 1000 - Date.now()) + 1);
}

/**
 * The most tokens issued within any `ms` milliseconds: how often the session was refreshed for a single expiry. Judged by
 * their `iat`, so that the speed of the machine does not matter.
 */
export function mostWithin(ms: number, tokens: readonly string[]): number {
  const dates = tokens.map((token) => claimsOf(token).iat * 1000);
  return Math.max(...dates.map((from) => dates.filter((date) => date >= from && date < from + ms).length));
}

/** The refresh token in the cookie jar of the browser, if any. */
export async function refreshTokenOf(context: BrowserContext): Promise<string | undefined> {
  return (await context.cookies()).find(({ name }) => name === '__Host-refreshToken')?.value;
}

/** The session generation that a token names. */
export const generationOf = (token: string): number => claimsOf(token).gen;

/** The id of the user that the token names; takes the value of an Authorization header too. */
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
