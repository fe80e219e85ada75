import type { LoginInput, RegisterInput } from '../../shared/auth.ts';
import { session, trpcClient } from '../api/client.ts';

// Plain calls instead of useMutation, whose cache would keep the password and the token.

export async function logIn(input: LoginInput): Promise<void> {
  session.signIn(await trpcClient.auth.login.mutate(input, asGuest()));
}

export async function createAccount(input: RegisterInput): Promise<void> {
  session.signIn(await trpcClient.auth.register.mutate(input, asGuest()));
}

/** A connection that died silently must not leave a form busy for ever. */
const TIMEOUT_MS = 30_000;

const asGuest = () => ({ context: { skipAuth: true }, signal: AbortSignal.timeout(TIMEOUT_MS) });
