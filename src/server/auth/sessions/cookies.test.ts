import express, { type Request, type Response } from 'express';
import { describe, expect, it } from 'vitest';
import { tokenCookie } from './cookies.ts';

const development = tokenCookie('refreshToken', { production: false });
const production = tokenCookie('refreshToken', { production: true });

const request = (cookie?: string) => ({ headers: { cookie } }) as Request;

/** The `Set-Cookie` headers that Express would send. */
function sent(act: (response: Response) => void): string[] {
  const headers: string[] = [];
  const response = Object.assign(Object.create(express.response) as Response, { req: {} as Request });
  response.append = (_name: string, value?: string | string[]) => {
    headers.push(String(value));
    return response;
  };
  act(response);
  return headers;
}

describe('read', () => {
  it.each<[string | undefined, unknown]>([
    [undefined, { kind: 'none' }],
    ['', { kind: 'none' }],
    ['theme=dark', { kind: 'none' }],
    ['refreshToken=a.b.c', { kind: 'one', token: 'a.b.c' }],
    ['theme=dark; refreshToken=a.b.c; x=y', { kind: 'one', token: 'a.b.c' }],
    ['theme=dark;refreshToken=a.b.c', { kind: 'one', token: 'a.b.c' }],
    ['refreshToken=', { kind: 'one', token: '' }],
    ['refreshToken=a=b', { kind: 'one', token: 'a=b' }],
    ['refreshToken=%61', { kind: 'one', token: '%61' }],
    ['refreshToken="a.b.c"', { kind: 'one', token: '"a.b.c"' }],
    ['refreshToken=a; refreshToken=b', { kind: 'several' }],
    ['refreshToken=a; refreshToken=a', { kind: 'several' }],
    ['refreshToken=; refreshToken=a', { kind: 'several' }],
    ['REFRESHTOKEN=a', { kind: 'none' }],
    ['xrefreshToken=a', { kind: 'none' }],
    ['refreshTokenx=a', { kind: 'none' }],
    ['refreshToken', { kind: 'none' }],
    ['__Host-refreshToken=a', { kind: 'none' }],
    ['x=refreshToken=a', { kind: 'none' }],
  ])('reads %j as %j', (header, carried) => {
    expect(development.read(request(header))).toEqual(carried);
  });

  it('reads only the __Host- name in production', () => {
    expect(production.read(request('__Host-refreshToken=a'))).toEqual({ kind: 'one', token: 'a' });
    for (const other of ['refreshToken=a', '__host-refreshToken=a', '__Secure-refreshToken=a'])
      expect(production.read(request(other))).toEqual({ kind: 'none' });
  });
});

describe('set and clear', () => {
  it('sets HttpOnly, SameSite and Path in development', () => {
    const [header] = sent((response) => development.set(response, 'a.b.c', 90_500));
    expect(header?.split('; ')).toEqual(
      expect.arrayContaining(['refreshToken=a.b.c', 'Max-Age=90', 'Path=/', 'HttpOnly', 'SameSite=Strict']),
    );
    expect(header).not.toMatch(/secure|domain/i);
  });

  it('also meets the conditions of the __Host- prefix in production: Secure, Path=/ and no Domain', () => {
    const [header] = sent((response) => production.set(response, 'a.b.c', 1_000));
    expect(header?.split('; ')).toEqual(
      expect.arrayContaining(['__Host-refreshToken=a.b.c', 'Path=/', 'HttpOnly', 'Secure', 'SameSite=Strict']),
    );
    expect(header).not.toMatch(/domain/i);
  });

  it('clears with the same name and attributes, or the browser would keep the cookie', () => {
    const [header] = sent((response) => production.clear(response));
    expect(header?.split('; ')).toEqual(
      expect.arrayContaining([
        '__Host-refreshToken=',
        'Path=/',
        'Expires=Thu, 01 Jan 1970 00:00:00 GMT',
        'HttpOnly',
        'Secure',
        'SameSite=Strict',
      ]),
    );
    expect(header).not.toMatch(/max-age/i);
  });
});
