import { limit } from './change.ts';
import type { ProtectedContext } from '../trpc.ts';

/** Everything that is kept about the caller, but for secrets. */
export async function exportFor(ctx: ProtectedContext) {
  await limit(ctx, 'export');
  return { user: ctx.user };
}
