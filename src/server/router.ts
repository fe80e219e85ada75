import type { PersonalData } from './account/export.ts';
import { accountRouter } from './account/router.ts';
import { adminRouter } from './admin/router.ts';
import { authRouter } from './auth/router.ts';
import { emailChangeRouter } from './email-change/router.ts';
import { emailVerificationRouter } from './email-verification/router.ts';
import { passwordResetRouter } from './password-reset/router.ts';
import { router } from './trpc.ts';

/** What each feature keeps about a person, for their export. Each feature that keeps something adds one line. */
const personalData: PersonalData = {};

/** The whole API. Each feature adds one line. */
export const appRouter = router({
  auth: authRouter,
  account: accountRouter(personalData),
  emailVerification: emailVerificationRouter,
  emailChange: emailChangeRouter,
  passwordReset: passwordResetRouter,
  admin: adminRouter,
});
export type AppRouter = typeof appRouter;
