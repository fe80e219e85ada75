import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { AuditEntry } from '../../shared/admin.ts';
import { List, ListItem } from '../ui/list.tsx';
import { LoadMore } from '../ui/load-more.tsx';
import { Loading } from '../ui/loading.tsx';
import { When } from '../ui/when.tsx';
import type { AuditFilter } from './audit-filter.ts';
import { Failed } from './failed.tsx';
import { useAudit } from './pages.ts';
import { sentenceFor } from './sentences.tsx';

/** The events that match, newest first, page by page. */
export function EventPages({ filter }: { filter: AuditFilter }) {
  const list = useAudit(filter);
  const { hasNextPage, isFetchingNextPage, isError, fetchNextPage } = list;
  const events = list.data?.pages.flatMap((page) => page.events) ?? [];
  return (
    <div>
      {events.length > 0 && <EventList events={events} />}
      {list.isPending && <Loading />}
      {list.error !== null && (
        <div className="mt-5">
          <Failed
            error={list.error}
            busy={list.isFetching}
            onRetry={() => (list.data === undefined ? list.refetch() : fetchNextPage())}
          />
        </div>
      )}
      <LoadMore
        hasMore={hasNextPage && !isError}
        busy={isFetchingNextPage}
        onMore={() => void fetchNextPage()}
        shown={list.isSuccess ? shown(events.length, hasNextPage) : ''}
      />
    </div>
  );
}

function shown(count: number, hasMore: boolean): string {
  if (count === 0) return 'Nothing has been recorded.';
  const events = count === 1 ? '1 event' : `${count} events`;
  return hasMore ? `${events} so far` : events;
}

export function EventList({ events }: { events: readonly AuditEntry[] }) {
  return (
    <List>
      {events.map((event) => (
        <EventItem key={event.id} event={event} />
      ))}
    </List>
  );
}

function EventItem({ event }: { event: AuditEntry }) {
  const { at, type, userId, username, actorId, actorUsername, ip, device, detail } = event;
  const who = userId === null ? 'somebody without an account' : nameOf(userId, username);
  const by = actorId === null ? undefined : nameOf(actorId, actorUsername);
  return (
    <ListItem>
      {/* Names are in boxes of their own, so they keep their case. */}
      <p className="first-letter:uppercase">{sentenceFor(type, { who, by, detail })}</p>
      <p className="mt-1 text-sm text-muted">
        <When of={at} as="moment" />
        {ip !== null && ` · Network ${ip}`}
        {device !== null && ` · ${device}`}
      </p>
    </ListItem>
  );
}

function nameOf(id: string, name: string | null): ReactNode {
  if (name === null) return 'a deleted account';
  return (
    <Link
      to={`/admin/people/${id}`}
      className="inline-block rounded-sm font-medium underline decoration-brass decoration-2 underline-offset-4 hover:decoration-ink"
    >
      {name}
    </Link>
  );
}
