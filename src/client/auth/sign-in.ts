import type { LoginInput, RegisterInput } from '../../shared/auth.ts';
import { plainClient, session } from '../api/app-session.ts';
import { bounded } from './call.ts';

// Not useMutation, whose cache would keep the password and the token.

export async function logIn(input: LoginInput): Promise<void> {
  session.signIn(await plainClient.auth.login.mutate(input, bounded()));
}

/** @returns whether the new account is signed in; otherwise its owner has been sent a mail */
export async function createAccount(input: RegisterInput): Promise<boolean> {
  const grant = await plainClient.auth.register.mutate(input, bounded());
  if (grant !== null) session.signIn(grant);
  return grant !== null;
}
