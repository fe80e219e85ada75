import { TRPCError } from '@trpc/server';
import { changePasswordInput, changeUsernameInput, deleteAccountInput, endSessionInput } from '../../shared/account.ts';
import { protectedProcedure, router, sudoProcedure } from '../trpc.ts';
import { changePassword, changeUsername, deleteAccount } from './change.ts';
import { exportFor, type PersonalData } from './export.ts';
import { endOtherSessions, endSession, listSessions } from './sessions.ts';

/** @param features what each feature keeps about a person, for the export */
export const accountRouter = (features: PersonalData) =>
  router({
    sessions: protectedProcedure.query(({ ctx }) => listSessions(ctx)),

    endSession: protectedProcedure.input(endSessionInput).mutation(async ({ ctx, input }) => {
      if (!(await endSession(ctx, input.id))) throw new TRPCError({ code: 'NOT_FOUND' });
      return null;
    }),

    endOtherSessions: protectedProcedure.mutation(({ ctx }) => endOtherSessions(ctx)),

    changeUsername: protectedProcedure
      .input(changeUsernameInput)
      .mutation(({ ctx, input }) => changeUsername(ctx, input.username)),

    changePassword: sudoProcedure.input(changePasswordInput).mutation(async ({ ctx, input }) => {
      await changePassword(ctx, input.password);
      return null;
    }),

    export: sudoProcedure.query(({ ctx }) => exportFor(ctx, features)),

    delete: sudoProcedure.input(deleteAccountInput).mutation(async ({ ctx, input }) => {
      await deleteAccount(ctx, input.username);
      return null;
    }),
  });
