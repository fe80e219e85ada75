import { Card } from '../ui/card.tsx';
import { Fact } from '../ui/fact.tsx';
import { countdown, timeOfDay } from './format.ts';
import { useSessionMonitor } from './session-monitor.ts';

const SHORT_ID_LENGTH = 8;

export function SessionCard() {
  const {
    latest: { state, expiresInMs },
    log,
  } = useSessionMonitor();
  if (state.status !== 'signed-in') return null;
  const { id, generation } = state.session;
  return (
    <Card heading="Your session">
      <p className="mt-2 text-sm text-muted">
        The access token is short-lived and kept in memory. Shortly before it expires, it is renewed with the refresh
        cookie. Each rotation of the cookie starts a new generation of the session.
      </p>
      <dl className="mt-6 grid grid-cols-2 gap-x-6 gap-y-5 *:first:col-span-2">
        <Fact label="Access token expires in">
          {/* Not a live region: screen readers would announce every second. */}
          <span className="font-display text-4xl tabular-nums">{expiry(expiresInMs)}</span>
        </Fact>
        <Fact label="Session ID">
          <code title={id}>{id.slice(0, SHORT_ID_LENGTH)}…</code>
        </Fact>
        <Fact label="Generation">
          <span className="tabular-nums">{generation}</span>
        </Fact>
      </dl>
      <h3 className="mt-6 text-sm text-muted">In this tab</h3>
      <ol className="mt-2 flex flex-col gap-2 text-sm">
        {log.map(({ id, at, text }) => (
          <li key={id} className="grid grid-cols-[auto_1fr] gap-3">
            <time dateTime={at.toISOString()} className="text-muted tabular-nums">
              {timeOfDay(at)}
            </time>
            <span>{text}</span>
          </li>
        ))}
      </ol>
      {import.meta.env.DEV && (
        <p className="mt-6 border-t border-line pt-4 text-sm text-muted">
          In a hurry? Start with <code className="text-ink">ACCESS_TOKEN_EXPIRY=20s npm run dev</code> to watch tokens
          being refreshed.
        </p>
      )}
    </Card>
  );
}

function expiry(ms: number | undefined): string {
  if (ms === undefined) return '–';
  return ms > 0 ? countdown(ms) : 'Expired';
}
