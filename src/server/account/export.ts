import type { Services } from '../services.ts';
import { fail, type ProtectedContext } from '../trpc.ts';
import { limit } from './change.ts';

/** What each feature keeps about a person, by the name of the feature: whatever JSON can express, but no secrets. */
export type PersonalData = Record<string, (services: Services, userId: string) => Promise<unknown>>;

/**
 * Everything that is kept about the caller, but for secrets.
 * @throws FailureError if the account has been deleted since the call was authenticated, or exports too often
 */
export async function exportFor(ctx: ProtectedContext, features: PersonalData) {
  const { req, services, user, session } = ctx;
  await limit(ctx, 'export');
  const kept = await services.personalData(user.id);
  if (kept === undefined) return fail(ctx, { kind: 'failed', failure: { code: 'session_ended', reason: 'revoked' } });
  const ofFeatures: Record<string, unknown> = {};
  for (const [name, read] of Object.entries(features)) ofFeatures[name] = await read(services, user.id);
  await services.audit.record(req, { type: 'exported', userId: user.id, sessionId: session.id });
  return { exportedAt: new Date(services.clock()).toISOString(), ...kept, features: ofFeatures };
}
