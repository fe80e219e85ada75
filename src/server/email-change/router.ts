import { emailChangeInput } from '../../shared/email-change.ts';
import { linkInput } from '../../shared/links.ts';
import { publicProcedure, router, sudoProcedure } from '../trpc.ts';
import { confirmEmailChange, requestEmailChange } from './change.ts';

export const emailChangeRouter = router({
  request: sudoProcedure.input(emailChangeInput).mutation(async ({ ctx, input }) => {
    await requestEmailChange(ctx, input.email);
    return null;
  }),

  confirm: publicProcedure.input(linkInput).mutation(async ({ ctx, input }) => {
    await confirmEmailChange(ctx, input.token);
    return null;
  }),
});
