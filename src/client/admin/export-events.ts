import type { AuditEntry, AuditPage } from '../../shared/admin.ts';

interface ExportOptions {
  /** Reads one page. */
  read: (cursor: string | undefined) => Promise<AuditPage>;
  /** Called after each page. @param count of the events so far */
  onProgress: (count: number) => void;
}

/** All pages as NDJSON, one event a line, in one piece per page. Rejects as soon as a page cannot be read. */
export async function exportEvents({ read, onProgress }: ExportOptions): Promise<string[]> {
  const parts: string[] = [];
  let count = 0;
  let cursor: string | undefined;
  do {
    const { events, nextCursor } = await read(cursor);
    parts.push(events.map(line).join(''));
    count += events.length;
    onProgress(count);
    cursor = nextCursor ?? undefined;
  } while (cursor !== undefined);
  return parts;
}

const line = (event: AuditEntry) => `${JSON.stringify(event)}\n`;
