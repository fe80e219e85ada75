import { describe, expect, it, vi } from 'vitest';
import { createNotifications } from './notifications.ts';

describe('createNotifications', () => {
  it('notifies a subscriber of its session, its user and everything, until cancelled', () => {
    const { publish, publishEverything, subscribe } = createNotifications(1_000);
    const listener = vi.fn<() => void>();
    {
      using _subscription = subscribe({ sessionId: 's', userId: 'u' }, listener);
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
});
