import { auditInput, peopleInput, personInput, setDisabledInput, setRoleInput } from '../../shared/admin.ts';
import { adminProcedure, adminSudoProcedure, router } from '../trpc.ts';
import { auditPage } from './audit.ts';
import { endSessionsOf, sendPasswordReset, setDisabled, setRole } from './change.ts';
import { listPeople, readPerson } from './people.ts';

export const adminRouter = router({
  people: adminProcedure.input(peopleInput).query(({ ctx, input }) => listPeople(ctx, input)),

  person: adminProcedure.input(personInput).query(({ ctx, input }) => readPerson(ctx, input.id)),

  audit: adminProcedure.input(auditInput).query(({ ctx, input }) => auditPage(ctx, input)),

  endSessions: adminSudoProcedure.input(personInput).mutation(({ ctx, input }) => endSessionsOf(ctx, input.id)),

  setRole: adminSudoProcedure.input(setRoleInput).mutation(async ({ ctx, input }) => {
    await setRole(ctx, input.id, input.role);
    return null;
  }),

  setDisabled: adminSudoProcedure.input(setDisabledInput).mutation(async ({ ctx, input }) => {
    await setDisabled(ctx, input.id, input.disabled);
    return null;
  }),

  sendPasswordReset: adminSudoProcedure.input(personInput).mutation(async ({ ctx, input }) => {
    await sendPasswordReset(ctx, input.id);
    return null;
  }),
});
