import type { LoginInput, RegisterInput } from '../../shared/auth.ts';
import { cookieClient, session } from '../api/app-session.ts';

// Not useMutation, whose cache would keep the password and the token.

export async function logIn(input: LoginInput): Promise<void> {
  session.signIn(await cookieClient.auth.login.mutate(input, bounded()));
}

export async function createAccount(input: RegisterInput): Promise<void> {
  const grant = await cookieClient.auth.register.mutate(input, bounded());
  if (grant !== null) session.signIn(grant);
}

/** A dead connection must not leave a form busy forever. */
const TIMEOUT_MS = 30_000;

const bounded = () => ({ signal: AbortSignal.timeout(TIMEOUT_MS) });
