import { useSession } from '../auth/use-session.ts';
import { sendsMail } from '../auth/sends-mail.ts';
import { ResendVerification } from './resend.tsx';

/** Until the email is verified. Nothing where the server sends no mail: nobody could verify it. */
export function VerificationBanner() {
  const state = useSession();
  if (!sendsMail || state.status !== 'signed-in' || state.user.emailVerified) return null;
  return (
    <section
      aria-label="Please confirm your email"
      className="mb-10 flex flex-wrap items-center justify-between gap-x-8 gap-y-4 rounded-2xl border border-line border-l-4 border-l-brass bg-brass-tint px-5 py-4 sm:px-7"
    >
      <div className="min-w-0">
        <p className="font-medium">Please confirm your email</p>
        <p className="wrap-anywhere">
          We have sent a link to {state.user.email}. Open it to show that the mail reaches you.
        </p>
      </div>
      <ResendVerification />
    </section>
  );
}
