import { PASSWORD_MIN_LENGTH } from '../../shared/auth.ts';

/** The entry of the page's `Server-Timing` header that carries the setting as its description. */
const ENTRY = 'password-min-length';

/**
 * The shortest password the server accepts, in code points. It comes with the page, in the one response header a script
 * can read of its own document, so a form can show it without a request. Where the client is served from elsewhere the
 * header is missing: this is the shared minimum then, and the server explains its refusal.
 */
export function passwordMinLength(timeline: Pick<Performance, 'getEntriesByType'> = performance): number {
  const [navigation] = timeline.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  const entry = navigation?.serverTiming?.find(({ name }) => name === ENTRY);
  const length = Number(entry?.description);
  return Number.isInteger(length) && length > PASSWORD_MIN_LENGTH ? length : PASSWORD_MIN_LENGTH;
}
