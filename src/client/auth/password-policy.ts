import { PASSWORD_MIN_LENGTH } from '../../shared/auth.ts';

const ENTRY = 'password-min-length';

/**
 * The minimum that the server is set to, in code points, from the one response header that scripts of a page can
 * read. A client served from elsewhere lacks it and falls back to the shared minimum.
 */
export function passwordMinLength(timeline: Pick<Performance, 'getEntriesByType'> = performance): number {
  const [navigation] = timeline.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  const entry = navigation?.serverTiming?.find(({ name }) => name === ENTRY);
  const length = Number(entry?.description);
  return Number.isInteger(length) && length > PASSWORD_MIN_LENGTH ? length : PASSWORD_MIN_LENGTH;
}
