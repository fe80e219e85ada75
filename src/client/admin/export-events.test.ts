import { describe, expect, it } from 'vitest';
import type { AuditEntry, AuditPage } from '../../shared/admin.ts';
import { exportEvents } from './export-events.ts';

const event = (id: number, detail: string | null = null): AuditEntry => ({
  id,
  at: '2030-01-31T12:00:00.000Z',
  type: 'signed_in',
  userId: 'u1',
  username: 'Ada',
  actorId: null,
  actorUsername: null,
  sessionId: null,
  ip: null,
  device: null,
  detail,
});

function reading(pages: Record<string, AuditPage>) {
  const cursors: (string | undefined)[] = [];
  const read = (cursor: string | undefined) => {
    cursors.push(cursor);
    const page = pages[cursor ?? 'first'];
    return page === undefined ? Promise.reject(new Error('unreachable')) : Promise.resolve(page);
  };
  return { cursors, read };
}

describe('exportEvents', () => {
  it('reads page after page, and writes one event a line', async () => {
    const { cursors, read } = reading({
      first: { events: [event(5), event(4, 'two\nlines')], nextCursor: 'a' },
      a: { events: [], nextCursor: 'b' },
      b: { events: [event(1)], nextCursor: null },
    });
    const progress: number[] = [];
    const parts = await exportEvents({ read, onProgress: (count) => progress.push(count) });
    const lines = parts.join('').split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual([event(5), event(4, 'two\nlines'), event(1)]);
    expect(cursors).toEqual([undefined, 'a', 'b']);
    expect(progress).toEqual([2, 2, 3]);
  });

  it('writes nothing where nothing matches', async () => {
    const { read } = reading({ first: { events: [], nextCursor: null } });
    expect((await exportEvents({ read, onProgress: () => {} })).join('')).toBe('');
  });

  it('rejects as soon as a page cannot be read', async () => {
    const { cursors, read } = reading({ first: { events: [event(1)], nextCursor: 'gone' } });
    await expect(exportEvents({ read, onProgress: () => {} })).rejects.toThrow('unreachable');
    expect(cursors).toEqual([undefined, 'gone']);
  });
});
