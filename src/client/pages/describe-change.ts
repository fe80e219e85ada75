import type { session } from '../api/app-session.ts';

export interface Sample {
  at: Date;
  state: typeof session.state;
  expiresInMs: number | undefined;
}

export function describeChange(before: Sample | undefined, after: Sample): string | undefined {
  if (after.state.status !== 'signed-in') return undefined;
  const { session, stale } = after.state;
  if (before?.state.status !== 'signed-in') return `Page opened with generation ${session.generation}.`;
  if (session.generation > before.state.session.generation)
    return `Refreshed, from generation ${before.state.session.generation} to ${session.generation}.`;
  if (stale && !before.state.stale) return 'The access token was refused. Getting a new one…';
  // Just after a rotation, the server issues access tokens without rotating again.
  if ((after.expiresInMs ?? 0) > (before.expiresInMs ?? Infinity))
    return `New access token, still generation ${session.generation}.`;
  return undefined;
}
