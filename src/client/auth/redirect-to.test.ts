import { describe, expect, it } from 'vitest';
import { destinationOf, loginPath } from './redirect-to.ts';

const here = { origin: 'https://latchkey.test' } as Location;
const pages = [{ path: '/dashboard' }, { path: '/notes/:id' }];
const destination = (redirectTo: string | null) => destinationOf(redirectTo, pages, here);

describe('destinationOf', () => {
  it.each(['/dashboard', '/dashboard?tab=2#end', '/notes/1', '/notes/a%20b'])('returns to %s', (path) => {
    expect(destination(path)).toBe(path);
  });

  it('reverses loginPath', () => {
    const search = loginPath({ pathname: '/notes/1', search: '?q=a&b=%26', hash: '#c' }).slice('/login'.length);
    expect(destination(new URLSearchParams(search).get('redirectTo'))).toBe('/notes/1?q=a&b=%26#c');
  });

  it.each([
    null,
    '',
    ' ',
    'dashboard',
    '/',
    '/unknown',
    '/login',
    '/login?redirectTo=//evil.test',
    '//evil.test',
    '//evil.test/dashboard',
    '///evil.test',
    '//',
    '/\\evil.test',
    '\\\\evil.test',
    '/\t/evil.test',
    '/\n/evil.test/dashboard',
    '\t//evil.test',
    '/%09/evil.test',
    '/%2f/evil.test',
    '/%2f%2fevil.test/dashboard',
    '/%5cevil.test',
    '//evil%E3%80%82test',
    '//latchkey.test@evil.test/dashboard',
    '/..//evil.test',
    '/.//evil.test',
    '/.//dashboard',
    '/dashboard/..//dashboard',
    '/.\\/dashboard',
    '@evil.test',
    'https:evil.test',
    'https:dashboard',
    'https://evil.test',
    'https://evil.test/dashboard',
    'https://latchkey.test@evil.test/dashboard',
    'https://latchkey.test.evil.test/dashboard',
    'http:/\\/\\evil.test',
    'javascript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,x',
    'blob:https://latchkey.test/dashboard',
    '//[',
  ])('goes home for %j', (hostile) => {
    expect(destination(hostile)).toBe('/dashboard');
  });

  it('goes home for //evil.test even where a page matches any path', () => {
    expect(destinationOf('/.//evil.test', [{ path: '*' }], here)).toBe('/dashboard');
  });

  it('never returns an address on another origin', () => {
    const parts = ['/', '\\', '.', '..', '%2f', '%5c', '\t', '@', ':', 'evil.test', 'dashboard', '?', '#'];
    for (const a of parts)
      for (const b of parts)
        for (const c of parts)
          for (const d of parts) {
            const answer = destination(`/${a}${b}${c}${d}`);
            expect(new URL(answer, here.origin).origin).toBe(here.origin);
          }
  });
});
