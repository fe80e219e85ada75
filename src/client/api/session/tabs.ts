import { quietly, type SessionEnvironment, type TabChannel } from './environment.ts';

const VERSION = 1;
const MARKER_STATES = ['active', 'ended', 'logout-pending'] as const;

/** Which session this browser is in, for a reload or a tab that slept. In localStorage; holds no secret. */
export interface Marker {
  sessionId: string;
  userId: string;
  /** `logout-pending`: the person has logged out, and the server could not be told yet. */
  state: (typeof MARKER_STATES)[number];
  /** Why it is not active: as in the state of the session. */
  reason?: string;
}

/** What tabs tell each other: never a token. */
export type TabMessage =
  | { kind: 'signed-in'; sessionId: string; userId: string }
  | { kind: 'signed-out'; sessionId: string; reason: string };

export type Tabs = ReturnType<typeof createTabs>;

/**
 * The other tabs of this browser. Nothing depends on hearing from them: without channel and storage a tab learns the same
 * from the server's next answer.
 * @param receive is called with each valid message
 */
export function createTabs(name: string, environment: SessionEnvironment, receive: (message: TabMessage) => void) {
  const { storage } = environment;
  const key = `${name}.marker`;
  let channel: TabChannel | undefined;

  return {
    open(): void {
      // Throws in a sandboxed frame.
      channel ??= quietly(() =>
        environment.openChannel?.(name, (data) => {
          if (isMessage(data)) receive(data);
        }),
      );
    },
    close(): void {
      quietly(() => channel?.close());
      channel = undefined;
    },
    post(message: TabMessage): void {
      quietly(() => channel?.post({ v: VERSION, ...message }));
    },
    marker: (): Marker | undefined =>
      quietly(() => {
        const data: unknown = JSON.parse(storage?.getItem(key) ?? 'null');
        return isMarker(data) ? data : undefined;
      }),
    mark(marker: Marker): void {
      try {
        storage?.setItem(key, JSON.stringify({ v: VERSION, ...marker }));
      } catch {
        // Full. The marker of before would now be wrong; none at all is handled like a storage that does not work.
        quietly(() => storage?.removeItem(key));
      }
    },
    /** Whether a missing marker means that nobody has signed in here: only a storage that can be written remembers. */
    canRemember: (): boolean =>
      quietly(() => {
        storage?.setItem(`${key}.probe`, '');
        storage?.removeItem(`${key}.probe`);
        return storage !== null;
      }) ?? false,
  };
}

// Other versions of this code, and other code of this origin, may use the same key and channel.

function isMarker(data: unknown): data is Marker {
  return hasStrings(data, 'sessionId', 'userId') && MARKER_STATES.includes((data as Marker).state);
}

function isMessage(data: unknown): data is TabMessage {
  const { kind } = (data ?? {}) as Partial<TabMessage>;
  return (
    (kind === 'signed-in' && hasStrings(data, 'sessionId', 'userId')) ||
    (kind === 'signed-out' && hasStrings(data, 'sessionId', 'reason'))
  );
}

function hasStrings(data: unknown, ...names: string[]): boolean {
  const record = (data ?? {}) as Record<string, unknown>;
  return record.v === VERSION && names.every((name) => typeof record[name] === 'string');
}
