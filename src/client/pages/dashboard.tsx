import type { User } from '../../shared/auth.ts';
import { trpc } from '../api/client.ts';
import { Button } from '../ui/button.tsx';
import { errorMessage } from '../ui/error-message.ts';
import { Fact } from '../ui/fact.tsx';
import { Loading } from '../ui/loading.tsx';
import { Notice } from '../ui/notice.tsx';
import { Page } from '../ui/page.tsx';
import { CallCard } from './call-card.tsx';
import { SessionCard } from './session-card.tsx';

export default function DashboardPage() {
  const me = trpc.auth.me.useQuery();
  return (
    <Page title="Dashboard">
      {me.data ? (
        <div className="mt-8 grid gap-6 lg:grid-cols-2">
          <div className="lg:col-span-2">
            <Account user={me.data} />
          </div>
          <SessionCard />
          <CallCard />
        </div>
      ) : me.error ? (
        <div className="mt-6 flex flex-col items-start gap-4">
          <Notice tone="problem">{errorMessage(me.error)}</Notice>
          <Button kind="quiet" busy={me.isFetching} onClick={() => void me.refetch()}>
            Try again
          </Button>
        </div>
      ) : (
        <Loading />
      )}
    </Page>
  );
}

const day = new Intl.DateTimeFormat('en', { dateStyle: 'long' });

function Account({ user }: { user: User }) {
  return (
    <section className="overflow-hidden rounded-2xl border border-line bg-surface lg:grid lg:grid-cols-2">
      <p className="border-l-4 border-brass px-5 py-7 content-center font-display text-2xl wrap-anywhere sm:px-7">
        Welcome, {user.username}!
      </p>
      <dl className="grid gap-x-8 gap-y-5 border-t border-line px-5 py-6 sm:grid-cols-2 sm:px-7 lg:items-center lg:border-t-0 lg:border-l">
        <Fact label="Email">{user.email}</Fact>
        <Fact label="Member since">
          <time dateTime={user.createdAt}>{day.format(new Date(user.createdAt))}</time>
        </Fact>
      </dl>
    </section>
  );
}
