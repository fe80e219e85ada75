import { useParams } from 'react-router';
import type { Person } from '../../shared/admin.ts';
import { trpc } from '../api/client.ts';
import { Fact } from '../ui/fact.tsx';
import { Loading } from '../ui/loading.tsx';
import { Section } from '../ui/section.tsx';
import { TextLink } from '../ui/text-link.tsx';
import { When } from '../ui/when.tsx';
import { AccessSection } from './access-section.tsx';
import { AdminPage } from './admin-page.tsx';
import { EventList } from './event-list.tsx';
import { Failed } from './failed.tsx';
import { roleName, yesOrNo } from './person-state.tsx';
import { SessionsSection } from './sessions-section.tsx';

export default function PersonPage() {
  const { id = '' } = useParams();
  const found = trpc.admin.person.useQuery({ id });
  const isGone = found.error?.data?.code === 'NOT_FOUND';
  if (isGone || found.data === undefined)
    return (
      <AdminPage title={isGone ? 'No such person' : 'Person'}>
        <div className="mt-6">
          {isGone ? (
            <>
              <p className="text-muted">There is no such account. It may have been deleted.</p>
              <p className="mt-4 flex flex-wrap gap-x-5">
                <TextLink to="/admin/people">Show everybody</TextLink>
                <TextLink to={auditOf(id)}>What the audit knows</TextLink>
              </p>
            </>
          ) : found.error === null ? (
            <Loading />
          ) : (
            <Failed error={found.error} busy={found.isFetching} onRetry={found.refetch} />
          )}
        </div>
      </AdminPage>
    );

  const { person, sessions, audit } = found.data;
  return (
    <AdminPage title={person.username}>
      <div className="mt-8 flex flex-col gap-6">
        {found.error !== null && <Failed error={found.error} busy={found.isFetching} onRetry={found.refetch} />}
        <FactsSection person={person} />
        <AccessSection key={`access ${id}`} person={person} />
        <SessionsSection key={`sessions ${id}`} person={person} sessions={sessions} />
        <Section heading="Audit" intro="What happened to this account, newest first.">
          {audit.events.length === 0 ? (
            <p className="text-muted">Nothing has been recorded.</p>
          ) : (
            <EventList events={audit.events} />
          )}
          <p>
            <TextLink to={auditOf(id)}>
              {audit.nextCursor === null ? 'Filter or export' : 'Older events, filter or export'}
            </TextLink>
          </p>
        </Section>
      </div>
    </AdminPage>
  );
}

const auditOf = (id: string) => `/admin/audit?${new URLSearchParams({ person: id }).toString()}`;

function FactsSection({ person }: { person: Person }) {
  return (
    <Section heading="Account">
      <dl className="grid gap-x-6 gap-y-4 sm:grid-cols-2">
        <Fact label="Username">{person.username}</Fact>
        <Fact label="Email">{person.email}</Fact>
        <Fact label="Role">{roleName(person.role)}</Fact>
        <Fact label="Email verified">{yesOrNo(person.emailVerified)}</Fact>
        <Fact label="Disabled">{yesOrNo(person.disabled)}</Fact>
        <Fact label="Created">
          <When of={person.createdAt} as="moment" />
        </Fact>
        <Fact label="Last seen">{person.lastSeenAt === null ? 'Never' : <When of={person.lastSeenAt} as="ago" />}</Fact>
        <Fact label="ID">{person.id}</Fact>
      </dl>
    </Section>
  );
}
