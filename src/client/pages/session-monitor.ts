import { useEffect, useState } from 'react';
import { session } from '../api/app-session.ts';
import { describeChange, type Sample } from './describe-change.ts';

interface LogEntry {
  id: number;
  at: Date;
  text: string;
}

interface Monitor {
  latest: Sample;
  /** Newest first. */
  log: LogEntry[];
}

const INTERVAL_MS = 1000;
const MAX_LOG_ENTRIES = 6;

/** Samples as well as subscribes: time passes, and a new token alone changes no state. */
export function useSessionMonitor(): Monitor {
  const [monitor, setMonitor] = useState(() => next(undefined, sample()));
  useEffect(() => {
    const update = () => {
      const latest = sample();
      setMonitor((previous) => next(previous, latest));
    };
    const timer = setInterval(update, INTERVAL_MS);
    const unsubscribe = session.subscribe(update);
    return () => {
      clearInterval(timer);
      unsubscribe();
    };
  }, []);
  return monitor;
}

export const sample = (): Sample => ({ at: new Date(), state: session.state, expiresInMs: session.tokenExpiresInMs() });

function next(previous: Monitor | undefined, latest: Sample): Monitor {
  const log = previous?.log ?? [];
  const text = describeChange(previous?.latest, latest);
  if (text === undefined) return { latest, log };
  const entry = { id: (log[0]?.id ?? 0) + 1, at: latest.at, text };
  return { latest, log: [entry, ...log].slice(0, MAX_LOG_ENTRIES) };
}
