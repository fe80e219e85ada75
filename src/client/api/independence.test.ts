import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const folder = new URL('./', import.meta.url);
const importsOf = (name: string) =>
  Array.from(readFileSync(new URL(name, folder), 'utf8').matchAll(/ from '([^']+)'/g), ([, path = '']) => path);

describe('the session and the links', () => {
  it('import nothing from this app, so that they can be used elsewhere', () => {
    const files = readdirSync(new URL('session/', folder)).filter((name) => !name.endsWith('.test.ts'));
    const paths = [...files.map((name) => `session/${name}`), 'refresh-link.ts', 'step-up-link.ts'].flatMap(importsOf);
    const outside = paths.filter((path) => !path.startsWith('@trpc/') && !/^\.\/(session\/)?[\w-]+\.ts$/.test(path));
    expect(paths.length).toBeGreaterThan(10);
    expect(outside).toEqual([]);
  });
});
