import type { User } from '../../shared/auth.ts';
import { trpc } from '../api/client.ts';
import { errorMessage } from '../ui/error-message.ts';
import { Button } from '../ui/button.tsx';
import { Loading } from '../ui/loading.tsx';
import { Notice } from '../ui/notice.tsx';
import { Page } from '../ui/page.tsx';

export function DashboardPage() {
  const me = trpc.auth.me.useQuery();
  return (
    <Page title="Dashboard">
      {me.data ? (
        <Account user={me.data} />
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
    <section className="mt-6 overflow-hidden rounded-2xl border border-line bg-surface">
      <p className="border-l-4 border-brass px-6 py-7 font-display text-2xl wrap-anywhere sm:px-8">
        Welcome, {user.username}!
      </p>
      <dl className="grid gap-x-8 gap-y-5 border-t border-line px-6 py-7 sm:grid-cols-2 sm:px-8">
        <div>
          <dt className="text-sm text-muted">Email</dt>
          <dd className="mt-1 wrap-anywhere">{user.email}</dd>
        </div>
        <div>
          <dt className="text-sm text-muted">Member since</dt>
          <dd className="mt-1">
            <time dateTime={user.createdAt}>{day.format(new Date(user.createdAt))}</time>
          </dd>
        </div>
      </dl>
    </section>
  );
}
