import type { SessionSummary } from '../../shared/sessions.ts';
import { When } from '../ui/when.tsx';

/** From where, and when, a session was used. @param inUse whether it is the one of this browser */
export function SessionFacts({ session, inUse = false }: { session: SessionSummary; inUse?: boolean }) {
  const { ip, createdAt, lastSeenAt } = session;
  return (
    <>
      <p className="mt-1 text-sm text-muted">
        {ip === null ? 'Unknown network' : `Network ${ip}`} ·{' '}
        {inUse ? (
          'in use now'
        ) : (
          <>
            last seen <When of={lastSeenAt} as="ago" />
          </>
        )}
      </p>
      <p className="text-sm text-muted">
        Logged in on <When of={createdAt} as="moment" />
      </p>
    </>
  );
}
