import { describe, expect, it, vi } from 'vitest';
import { createNotifications } from './notifications.ts';

const NEVER_MS = 24 * 60 * 60_000;
const subscriber = { sessionId: 's', userId: 'u' };

describe('createNotifications', () => {
  it('notifies a subscriber of its session, its user and everything, until cancelled', () => {
    using notifications = createNotifications(NEVER_MS);
    const { publish, publishEverything, subscribe } = notifications;
    const listener = vi.fn<() => void>();
    {
      using _subscription = subscribe(subscriber, listener);
      publish({ sessionId: 's' });
      publish({ userId: 'u' });
      publishEverything();
      expect(listener).toHaveBeenCalledTimes(3);
      publish({ sessionId: 'u' });
      publish({ userId: 's' });
      expect(listener).toHaveBeenCalledTimes(3);
    }
    publish({ sessionId: 's' });
    publish({ userId: 'u' });
    publishEverything();
    expect(listener).toHaveBeenCalledTimes(3);
  });

  it('tells every subscriber once per interval, not all at the same time', () => {
    vi.useFakeTimers();
    try {
      using notifications = createNotifications(10_000);
      const listeners = Array.from({ length: 50 }, () => vi.fn<() => void>());
      using subscriptions = new DisposableStack();
      for (const listener of listeners) subscriptions.use(notifications.subscribe(subscriber, listener));
      let most = 0;
      let before = 0;
      for (let elapsed = 0; elapsed < 20_000; elapsed += 100) {
        vi.advanceTimersByTime(100);
        const calls = listeners.reduce((sum, { mock }) => sum + mock.calls.length, 0);
        most = Math.max(most, calls - before);
        before = calls;
      }
      for (const listener of listeners) expect(listener).toHaveBeenCalledTimes(2);
      // With 50 in 100 groups, that 25 share one has a chance of less than 1 in 10^30.
      expect(most).toBeLessThan(25);
    } finally {
      vi.useRealTimers();
    }
  });
});
