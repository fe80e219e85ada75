import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('docs/refresh-link.md', () => {
  it('has an example that compiles', () => {
    const text = readFileSync(join(root, 'docs/refresh-link.md'), 'utf8');
    const [example, ...others] = Array.from(text.matchAll(/^```ts\n(.*?)^```$/gms), ([, code = '']) => code);
    expect(others).toEqual([]);
    // In the project, so that its packages resolve.
    mkdirSync(join(root, 'test-results'), { recursive: true });
    const folder = mkdtempSync(join(root, 'test-results/example-'));
    try {
      writeFileSync(join(folder, 'example.ts'), example!.replaceAll("from './", "from '../../src/"));
      const options = { extends: '../../tsconfig.json', compilerOptions: { noEmit: true }, include: ['./example.ts'] };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(options));
      const { stdout } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], {
        encoding: 'utf8',
      });
      expect(stdout).toBe('');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
