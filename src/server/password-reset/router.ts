import { completePasswordResetInput, requestPasswordResetInput } from '../../shared/password-reset.ts';
import { publicProcedure, router } from '../trpc.ts';
import { completePasswordReset, requestPasswordReset } from './reset.ts';

export const passwordResetRouter = router({
  request: publicProcedure.input(requestPasswordResetInput).mutation(async ({ ctx, input }) => {
    await requestPasswordReset(ctx, input.email);
    return null;
  }),

  complete: publicProcedure.input(completePasswordResetInput).mutation(async ({ ctx, input }) => {
    await completePasswordReset(ctx, input.token, input.password);
    return null;
  }),
});
