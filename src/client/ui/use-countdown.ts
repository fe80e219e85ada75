import { useEffect, useState } from 'react';

/** @returns the whole seconds that are left, 0 unless it runs, and a function that starts it */
export function useCountdown(): [secondsLeft: number, start: (seconds: number) => void] {
  // By a clock that nobody sets.
  const [{ now, until }, setClock] = useState({ now: 0, until: 0 });
  const secondsLeft = Math.max(0, Math.ceil((until - now) / 1000));
  const isRunning = secondsLeft > 0;
  useEffect(() => {
    if (!isRunning) return;
    const timer = setInterval(() => setClock((clock) => ({ ...clock, now: performance.now() })), 1000);
    return () => clearInterval(timer);
  }, [isRunning]);
  const start = (seconds: number) => {
    const startedAt = performance.now();
    setClock({ now: startedAt, until: startedAt + seconds * 1000 });
  };
  return [secondsLeft, start];
}
