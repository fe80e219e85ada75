import type { User } from '../../shared/auth.ts';
import type { NewPerson } from './accounts.ts';
import type { Device, Failed, Issued, Sessions } from './sessions/sessions.ts';

/** What came of somebody's trying to prove who they are: by registering, with a password, later perhaps with a passkey. */
export type Proof = NewPerson | { user: User } | Failed;

/**
 * The one door: every way in ends here, and only here does a session begin.
 * @param options.refreshToken the cookie's that came along: its session ends, so that one browser holds one session
 */
export async function signIn(
  sessions: Sessions,
  proof: Proof,
  options: { device: Device; refreshToken: string | undefined },
): Promise<Issued | Failed> {
  if ('failure' in proof) return proof;
  const { device, refreshToken } = options;
  return 'account' in proof
    ? sessions.startFirst(proof, device, refreshToken)
    : sessions.start(proof.user, device, refreshToken);
}
