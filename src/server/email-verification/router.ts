import { linkInput } from '../../shared/links.ts';
import { protectedProcedure, publicProcedure, router } from '../trpc.ts';
import { sendVerification, verifyEmail } from './verification.ts';

export const emailVerificationRouter = router({
  send: protectedProcedure.mutation(async ({ ctx }) => {
    await sendVerification(ctx);
    return null;
  }),

  confirm: publicProcedure.input(linkInput).mutation(async ({ ctx, input }) => {
    await verifyEmail(ctx, input.token);
    return null;
  }),
});
