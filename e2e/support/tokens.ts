import { setTimeout } from 'node:timers/promises';
import type { BrowserContext } from 'playwright-core';
import type { Grant } from '../../src/shared/auth.ts';

/** Remembers the access tokens that the server hands to this browser, in order. */
export function collectTokens(context: BrowserContext): string[] {
  const tokens: string[] = [];
  context.on('response', (response) => {
    if (/auth\.(register|login|refresh)$/.test(response.url()) && response.ok())
      void response.json().then((body: { result: { data: Grant } }) => tokens.push(body.result.data.accessToken));
  });
  return tokens;
}

/** Waits until the token is expired: until the moment that is written in it, for there is nobody who would tell. */
export async function expired(token: string): Promise<void> {
  const [, payload = ''] = token.split('.');
  const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { exp: number };
  await setTimeout(Math.max(0, exp * 1000 - Date.now()) + 1);
}
