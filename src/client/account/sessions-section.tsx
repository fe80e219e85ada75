import { useId, useRef, useState } from 'react';
import type { OwnSession } from '../../shared/account.ts';
import { trpc } from '../api/client.ts';
import { SessionFacts } from '../auth/session-facts.tsx';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { errorMessage } from '../ui/error-message.ts';
import { List, ListItem } from '../ui/list.tsx';
import { Loading } from '../ui/loading.tsx';
import { Notice } from '../ui/notice.tsx';
import { Section } from '../ui/section.tsx';

export function SessionsSection() {
  const { sessions } = trpc.useUtils().account;
  const list = trpc.account.sessions.useQuery();
  const [ended, setEnded] = useState('');
  const outcome = useRef<HTMLOutputElement>(null);

  const onSettled = () => sessions.invalidate();
  const endOne = trpc.account.endSession.useMutation({
    onSuccess(_data, { id }) {
      const of = list.data?.find((session) => session.id === id);
      setEnded(of === undefined ? 'Session ended.' : `Session ended: ${of.device}.`);
      // At once, and without the button that has the focus.
      sessions.setData(undefined, (all) => all?.filter((session) => session.id !== id));
      outcome.current?.focus();
    },
    onSettled,
  });
  const endOthers = trpc.account.endOtherSessions.useMutation({
    onSuccess({ ended }) {
      setEnded(ended === 1 ? 'One other session ended.' : `${ended} other sessions ended.`);
      sessions.setData(undefined, (all) => all?.filter(({ current }) => current));
      outcome.current?.focus();
    },
    onSettled,
  });
  // Somebody else has ended it, and the list is being read again.
  const endError = isNotFound(endOne.error) ? null : endOne.error;
  const error = endError ?? endOthers.error ?? list.error;

  return (
    <Section
      heading="Sessions"
      intro="Where you are logged in. End what you do not recognize, and change your password."
    >
      {error !== null && <Notice tone="problem">{errorMessage(error)}</Notice>}
      {list.data === undefined ? (
        list.error === null ? (
          <Loading />
        ) : (
          <div>
            <Button kind="quiet" busy={list.isFetching} onClick={() => void list.refetch()}>
              Try again
            </Button>
          </div>
        )
      ) : (
        <List>
          {list.data.map((session) => (
            <SessionItem
              key={session.id}
              session={session}
              busy={endOne.isPending && endOne.variables.id === session.id}
              onEnd={() => endOne.mutate({ id: session.id })}
            />
          ))}
        </List>
      )}
      {/* Takes no room while there is nothing in it. */}
      <div className="-mt-5 flex flex-wrap items-center gap-x-5 *:not-empty:mt-5">
        {list.data?.some(({ current }) => !current) && (
          <Button kind="quiet" busy={endOthers.isPending} onClick={() => endOthers.mutate()}>
            Log out other sessions
          </Button>
        )}
        <output ref={outcome} tabIndex={-1} className="text-muted outline-none">
          {ended}
        </output>
      </div>
    </Section>
  );
}

const isNotFound = (error: { data?: { code?: string } | null } | null) => error?.data?.code === 'NOT_FOUND';

function SessionItem({ session, busy, onEnd }: { session: OwnSession; busy: boolean; onEnd: () => void }) {
  const id = useId();
  const { device, current } = session;
  return (
    <ListItem
      action={
        current ? undefined : (
          <Button kind="quiet" busy={busy} onClick={onEnd} aria-describedby={id}>
            End session
          </Button>
        )
      }
    >
      <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <span id={id} className="font-medium">
          {device}
        </span>
        {current && <Badge tone="calm">This browser</Badge>}
      </p>
      <SessionFacts session={session} inUse={current} />
    </ListItem>
  );
}
