import type { Person, PersonSession } from '../../shared/admin.ts';
import { trpcClient } from '../api/client.ts';
import { useSession } from '../auth/use-session.ts';
import { List, ListItem } from '../ui/list.tsx';
import { Section } from '../ui/section.tsx';
import { When } from '../ui/when.tsx';
import { Action } from './action.tsx';

interface SessionsSectionProps {
  person: Person;
  /** The live ones. */
  sessions: readonly PersonSession[];
}

export function SessionsSection({ person: { id, username }, sessions }: SessionsSectionProps) {
  const state = useSession();
  const isOwn = state.status === 'signed-in' && state.user.id === id;
  return (
    <Section heading="Sessions" intro="Where they are logged in.">
      {sessions.length === 0 ? (
        <p className="text-muted">They are logged in nowhere.</p>
      ) : (
        <List>
          {sessions.map((session) => (
            <SessionItem key={session.id} session={session} />
          ))}
        </List>
      )}
      <div className="flex flex-wrap items-center gap-x-5 gap-y-3">
        {/* Stays, so that it keeps the focus. */}
        <Action
          label="End sessions"
          kind="danger"
          unavailable={sessions.length === 0}
          question={`End all sessions of ${username}?`}
          confirm="End all"
          run={async () => {
            const { ended } = await trpcClient.admin.endSessions.mutate({ id });
            return ended === 1 ? 'One session ended.' : `${ended} sessions ended.`;
          }}
        >
          {isOwn
            ? 'This is you: you are logged out everywhere, here too, and need your password to log in again.'
            : 'They are logged out everywhere at once, and need their password to log in again.'}
        </Action>
      </div>
    </Section>
  );
}

function SessionItem({ session: { device, ip, createdAt, lastSeenAt } }: { session: PersonSession }) {
  return (
    <ListItem>
      <p className="font-medium">{device}</p>
      <p className="mt-1 text-sm text-muted">
        {ip === null ? 'Unknown network' : `Network ${ip}`} · last seen <When of={lastSeenAt} as="ago" />
      </p>
      <p className="text-sm text-muted">
        Logged in on <When of={createdAt} as="moment" />
      </p>
    </ListItem>
  );
}
