import type { Person } from '../../shared/admin.ts';
import type { SessionSummary } from '../../shared/sessions.ts';
import { trpcClient } from '../api/client.ts';
import { SessionFacts } from '../auth/session-facts.tsx';
import { useSession } from '../auth/use-session.ts';
import { List, ListItem } from '../ui/list.tsx';
import { Section } from '../ui/section.tsx';
import { Action } from './action.tsx';

interface SessionsSectionProps {
  person: Person;
  /** The live ones. */
  sessions: readonly SessionSummary[];
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
            <ListItem key={session.id}>
              <p className="font-medium">{session.device}</p>
              <SessionFacts session={session} />
            </ListItem>
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
