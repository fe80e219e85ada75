/**
 * What the server says about this page, in the one response header that the scripts of a page can read: `Server-Timing`. A
 * client that is served from elsewhere does without.
 * @param name `password-min-length`, `mail` (the server sends mail) or `session` (the cookie came with the request)
 * @returns the description, which may be empty; undefined if the server did not mention it
 */
export function pageFact(
  name: 'password-min-length' | 'mail' | 'session',
  timeline: Pick<Performance, 'getEntriesByType'> = performance,
): string | undefined {
  const [navigation] = timeline.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return navigation?.serverTiming?.find((entry) => entry.name === name)?.description;
}
