import { useEffect } from 'react';
import { Link, useSearchParams } from 'react-router';
import type { Person } from '../../shared/admin.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Field } from '../ui/field.tsx';
import { LoadMore } from '../ui/load-more.tsx';
import { Loading } from '../ui/loading.tsx';
import { Row, Table } from '../ui/table.tsx';
import { TextLink } from '../ui/text-link.tsx';
import { When } from '../ui/when.tsx';
import { AdminPage } from './admin-page.tsx';
import { Failed } from './failed.tsx';
import { usePeople } from './pages.ts';
import { RoleBadge, yesOrNo } from './person-state.tsx';

/** The search is in the address, so that Back, a reload and a bookmark lead to it. */
export default function PeoplePage() {
  const [params] = useSearchParams();
  const search = params.get('search')?.trim() ?? '';
  return (
    <AdminPage title="People">
      <Search key={search} search={search} />
      <People search={search} />
    </AdminPage>
  );
}

/** On submission, not while typing: each page of results is read, announced and put in the history once. */
function Search({ search }: { search: string }) {
  const [, setParams] = useSearchParams();
  const submit = (form: FormData) => {
    const text = form.get('search');
    setParams(typeof text === 'string' && text.trim() !== '' ? { search: text.trim() } : {});
  };
  return (
    <search>
      <form
        className="mt-6 flex flex-wrap items-start gap-x-4 gap-y-3"
        onSubmit={(event) => {
          event.preventDefault();
          submit(new FormData(event.currentTarget));
        }}
      >
        <div className="min-w-0 grow basis-64">
          <Field
            label="Search"
            type="search"
            name="search"
            hint="The beginning of a username or an email."
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            defaultValue={search}
          />
        </div>
        <div className="sm:mt-7.5">
          <Button type="submit">Search</Button>
        </div>
      </form>
    </search>
  );
}

const columns = ['Username', 'Email', 'Role', 'Verified', 'Disabled', 'Created', 'Last seen'];

function People({ search }: { search: string }) {
  const list = usePeople(search === '' ? {} : { search });
  const { hasNextPage, isFetchingNextPage, isError, fetchNextPage } = list;
  const people = list.data?.pages.flatMap((page) => page.people) ?? [];

  // The server may stop before it has found anybody, so that no answer takes long.
  const isStillLooking = people.length === 0 && hasNextPage && !isError;
  useEffect(() => {
    if (isStillLooking && !isFetchingNextPage) void fetchNextPage();
  }, [isStillLooking, isFetchingNextPage, fetchNextPage]);

  return (
    <section aria-label="People" className="mt-8 rounded-2xl border border-line bg-surface px-5 pt-5 pb-6 sm:px-7">
      {people.length > 0 && (
        <Table
          caption={search === '' ? 'People' : `People whose username or email starts with ${search}`}
          columns={columns}
        >
          {people.map((person) => (
            <PersonRow key={person.id} person={person} />
          ))}
        </Table>
      )}
      {(list.isPending || isStillLooking) && <Loading />}
      {list.error !== null && (
        <div className="mt-5">
          <Failed
            error={list.error}
            busy={list.isFetching}
            onRetry={() => (list.data === undefined ? list.refetch() : fetchNextPage())}
          />
        </div>
      )}
      {/* Always there, so that screen readers announce what appears in it. */}
      <LoadMore
        hasMore={people.length > 0 && hasNextPage && !isError}
        busy={isFetchingNextPage}
        onMore={() => void fetchNextPage()}
        shown={list.isSuccess && !isStillLooking ? shown(people.length, hasNextPage, search) : ''}
      />
      {search !== '' && <TextLink to="/admin/people">Show everybody</TextLink>}
    </section>
  );
}

function shown(count: number, hasMore: boolean, search: string): string {
  if (count === 0)
    return search === '' ? 'Nobody has an account yet.' : `Nobody’s username or email starts with “${search}”.`;
  const people = count === 1 ? '1 person' : `${count} people`;
  return hasMore ? `${people} so far` : people;
}

function PersonRow({ person }: { person: Person }) {
  return (
    <Row columns={columns}>
      <Link
        to={`/admin/people/${person.id}`}
        className="inline-block rounded-sm py-2 underline decoration-brass decoration-2 underline-offset-4 hover:decoration-ink"
      >
        {person.username}
      </Link>
      {person.email}
      <RoleBadge role={person.role} />
      {yesOrNo(person.emailVerified)}
      {person.disabled ? <Badge tone="plain">Disabled</Badge> : 'No'}
      <When of={person.createdAt} as="day" />
      {person.lastSeenAt === null ? 'Never' : <When of={person.lastSeenAt} as="ago" />}
    </Row>
  );
}
