import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { readSettings } from './env.ts';

// The tests run without Docker, so these hold what it reads against the project. oxfmt parses the YAML.

const at = (path: string) => new URL(`../../${path}`, import.meta.url);
const read = (path: string) => readFileSync(at(path), 'utf8');
const all = (text: string, pattern: RegExp) => Array.from(text.matchAll(pattern), ([, found = '']) => found);

const dockerfile = read('Dockerfile');
const compose = read('compose.yaml');
const nginx = read('deploy/nginx.conf');

const { port: DEFAULT_PORT } = readSettings({
  production: true,
  env: {
    JWT_ACCESS_SECRET: 'q3Vb7xYt0NfKz8Lr2WmPc5Hs9JdGu4Ea',
    JWT_REFRESH_SECRET: 'T6eRk1ZoXw9Bn4MvQy7Ca3Li8Up2FjDs',
  },
});
/** The names in the table of settings, which env.test.ts holds against env.ts. */
const settings = all(read('docs/operations.md'), /^\| `([A-Z_]+)` +\|/gm);

describe('the Dockerfile', () => {
  it('copies what exists and what .dockerignore lets through', () => {
    const copied = all(dockerfile, /^COPY (?!--from)(.+) \S+$/gm).flatMap((paths) => paths.split(' '));
    expect(copied).toContain('src');
    const included = all(read('.dockerignore'), /^!(\S+)$/gm);
    for (const path of copied) {
      expect([path, existsSync(at(path))]).toEqual([path, true]);
      expect(included).toContain(path);
    }
  });

  it('starts what npm start does, on the Node version that the project requires', () => {
    const [command] = all(dockerfile, /^CMD (\[.+\])$/gm);
    expect(JSON.parse(command ?? '')).toEqual(manifest.scripts.start.split(' '));
    const required = /\d+/.exec(manifest.engines.node)?.[0];
    expect(new Set(all(dockerfile, /^FROM (\S+)/gm))).toEqual(new Set([`node:${required}-slim`]));
  });

  it('runs as a user, on the default port, and writes to the folder of the database only', () => {
    const last = dockerfile.slice(dockerfile.lastIndexOf('FROM'));
    expect(all(last, /^USER (\S+)$/gm)).toEqual(['node']);
    expect(all(last, /^EXPOSE (\d+)$/gm)).toEqual([String(DEFAULT_PORT)]);
    expect(all(last, /^VOLUME (\S+)$/gm)).toEqual(['/app/data']);
  });
});

describe('compose.yaml', () => {
  const services = all(
    compose.slice(compose.indexOf('\nservices:'), compose.indexOf('\nvolumes:')),
    /^ {2}([\w-]+):/gm,
  );
  const servers = services.filter((name) => name.startsWith('server-'));

  it('sets settings that exist, for two servers behind one proxy', () => {
    expect(servers).toHaveLength(2);
    const [environment = ''] = all(compose, /^x-server:[^]*?^ {2}environment:\n((?: {4}.*\n)+)/gm);
    const names = all(environment, /^ {4}(\w+):/gm);
    const required = ['DATABASE_URL', 'JWT_ACCESS_SECRET', 'JWT_REFRESH_SECRET', 'TRUST_PROXY'];
    expect(names).toEqual([...required, 'MAIL_URL', 'MAIL_FROM', 'APP_URL']);
    expect(settings).toEqual(expect.arrayContaining(names));
    const [url = ''] = all(environment, /DATABASE_URL: (.+)$/gm);
    expect(URL.parse(url.replaceAll(/\$\{\w+:\?\}/g, 'x'))).toMatchObject({
      protocol: 'postgres:',
      username: 'latchkey',
    });
    expect(services).toContain(/@([\w-]+):5432\//.exec(url)?.[1]);
  });

  it('publishes the port that the proxy listens on, and gives it the configuration in deploy/', () => {
    const [listening] = all(nginx, /listen (\d+);/g);
    expect(all(compose, /^ {6}- '(\d+:\d+)'$/gm)).toEqual([`${listening}:${listening}`]);
    const [path = ''] = all(compose, /^ {6}- (\.\/\S+):\/etc\/nginx/gm);
    expect(existsSync(at(path))).toBe(true);
  });

  it('balances between its servers, on their port', () => {
    expect(all(nginx, /^ {2}server (\S+:\d+)/gm)).toEqual(servers.map((name) => `${name}:${DEFAULT_PORT}`));
  });

  it('gives a server longer to stop than it takes', () => {
    const [grace] = all(compose, /stop_grace_period: (\d+)s/g);
    const [timeout = ''] = all(read('src/server/main.ts'), /DRAIN_TIMEOUT_MS = ([\d_]+);/g);
    expect(Number(grace) * 1_000).toBeGreaterThan(Number(timeout.replace('_', '')));
  });
});
