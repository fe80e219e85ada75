import { execFile } from 'node:child_process';
import { cp, glob, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));

/** What each file may not import, and the reason that the developer is given. `orders` and `invoices` are features. */
const FORBIDDEN: Record<string, [specifier: string, reason: RegExp][]> = {
  'src/shared/orders.ts': [
    ['../server/errors.ts', /^shared\//],
    ['../client/routes.tsx', /^shared\//],
    ['react', /^shared\//],
    ['node:crypto', /^shared\//],
  ],
  'src/server/app.ts': [
    ['../client/routes.tsx', /^The server knows nothing of the client/],
    ['better-sqlite3', /^Only db\//],
  ],
  'src/server/orders/router.ts': [
    ['../invoices/router.ts', /^Features do not/],
    ['../http/request-log.ts', /^Features do not/],
    ['../testing/world.ts', /^Features do not/],
    ['../../server/invoices/router.ts', /^Features do not/],
    ['../../client/routes.tsx', /^The server knows nothing of the client/],
    ['better-sqlite3', /^Only db\//],
    ['pg', /^Only db\//],
    ['drizzle-orm/better-sqlite3', /^Only db\//],
    ['drizzle-orm/node-postgres/migrator', /^Only db\//],
  ],
  'src/server/orders/pdf/render.ts': [
    ['../../invoices/router.ts', /^Features do not/],
    ['../../../server/invoices/router.ts', /^Features do not/],
    ['../../../client/routes.tsx', /^The server knows nothing of the client/],
    ['pg', /^Only db\//],
  ],
  'src/server/orders/pdf/fonts/load.ts': [
    ['../../../invoices/router.ts', /^Features do not/],
    ['../../../../server/invoices/router.ts', /^Features do not/],
    ['../../../../client/routes.tsx', /^The server knows nothing of the client/],
    ['pg', /^Only db\//],
  ],
  'src/server/auth/sign-in.ts': [
    ['../orders/router.ts', /the kernel imports no feature/],
    ['../../client/routes.tsx', /^The server knows nothing of the client/],
    ['better-sqlite3', /^Only db\//],
  ],
  'src/server/auth/sessions/sessions.ts': [
    ['../../orders/router.ts', /the kernel imports no feature/],
    ['drizzle-orm/node-postgres', /^Only db\//],
  ],
  'src/server/auth/store/auth-store.ts': [
    ['../../orders/router.ts', /^The store/],
    ['../../../server/orders/router.ts', /^The store/],
    ['../../../client/routes.tsx', /^The server knows nothing of the client/],
  ],
  'src/server/auth/store/sqlite/auth-store.ts': [
    ['../../../orders/router.ts', /^The store/],
    ['../../../../server/orders/router.ts', /^The store/],
    ['../../../../client/routes.tsx', /^The server knows nothing of the client/],
  ],
  'src/server/db/sqlite.ts': [
    ['../auth/accounts.ts', /built on db\//],
    ['../orders/router.ts', /built on db\//],
    ['../../server/orders/router.ts', /built on db\//],
    ['../../client/routes.tsx', /^The server knows nothing of the client/],
  ],
  'src/server/http/server.ts': [['../orders/router.ts', /the kernel imports no feature/]],
  'src/server/mail/outbox.ts': [['../orders/router.ts', /the kernel imports no feature/]],
  'src/client/routes.tsx': [['../server/router.ts', /^The client may import types/]],
  'src/client/pages/login.tsx': [['../../server/router.ts', /^The client may import types/]],
  'src/client/orders/list.tsx': [
    ['../invoices/list.tsx', /^Features do not/],
    ['../../client/invoices/list.tsx', /^Features do not/],
    ['../pages/login.tsx', /^Features do not/],
    ['../routes.tsx', /^Features do not/],
    ['../../server/router.ts', /^The client may import types/],
  ],
  'src/client/orders/parts/row.tsx': [
    ['../../invoices/list.tsx', /^Features do not/],
    ['../../../client/invoices/list.tsx', /^Features do not/],
    ['../../pages/login.tsx', /^Features do not/],
    ['../../routes.tsx', /^Features do not/],
    ['../../../server/router.ts', /^The client may import types/],
  ],
  'src/client/auth/use-session.ts': [
    ['../orders/list.tsx', /^Features do not/],
    ['../pages/login.tsx', /^Features do not/],
    ['../../server/router.ts', /^The client may import types/],
  ],
  'src/client/ui/button.tsx': [
    ['../auth/use-session.ts', /^ui\//],
    ['../api/client.ts', /^ui\//],
    ['../routes.tsx', /^ui\//],
    ['../../server/router.ts', /^ui\//],
  ],
  'src/client/api/client.ts': [
    ['../auth/use-session.ts', /^api\//],
    ['../ui/button.tsx', /^api\//],
    ['../routes.tsx', /^api\//],
    ['../../client/ui/button.tsx', /^api\//],
    ['../../server/router.ts', /^The client may import types/],
  ],
  'src/client/api/refresh-link.ts': [
    ['../../shared/failures.ts', /^The link/],
    ['../../server/router.ts', /^The link/],
    ['../ui/button.tsx', /^The link/],
    ['./client.ts', /^The link/],
  ],
  'src/client/api/session/index.ts': [
    ['../../../shared/failures.ts', /^session\//],
    ['../../../server/router.ts', /^session\//],
    ['../client.ts', /^session\//],
    ['../refresh-link.ts', /^session\//],
  ],
};

/** What each file may import. */
const ALLOWED: Record<string, string[]> = {
  'src/shared/orders.ts': ['zod', 'zod/mini', './failures.ts'],
  'src/server/app.ts': ['./orders/router.ts', './http/server.ts', '../shared/auth.ts'],
  'src/server/orders/router.ts': [
    './orders.ts',
    '../trpc.ts',
    '../auth/sign-in.ts',
    '../auth/sessions/events.ts',
    '../db/sqlite.ts',
    '../mail/mailer.ts',
    '../../shared/orders.ts',
    'drizzle-orm',
    'drizzle-orm/sqlite-core',
  ],
  'src/server/orders/pdf/render.ts': [
    '../orders.ts',
    '../csv/render.ts',
    '../../trpc.ts',
    '../../auth/sign-in.ts',
    '../../db/sqlite.ts',
    '../../mail/mailer.ts',
    '../../../shared/orders.ts',
  ],
  'src/server/orders/pdf/fonts/load.ts': [
    '../render.ts',
    '../../csv/render.ts',
    '../../../auth/sign-in.ts',
    '../../../db/sqlite.ts',
    '../../../mail/mailer.ts',
    '../../../../shared/orders.ts',
  ],
  'src/server/auth/sign-in.ts': ['./accounts.ts', './store/auth-store.ts', '../trpc.ts', '../db/sqlite.ts'],
  'src/server/auth/sessions/sessions.ts': ['../store/auth-store.ts', '../../log.ts', '../../../shared/auth.ts'],
  'src/server/auth/store/auth-store.ts': [
    '../sessions/rotation.ts',
    '../../auth/audit.ts',
    '../../db/sqlite.ts',
    '../../../shared/auth.ts',
    'better-sqlite3',
  ],
  'src/server/auth/store/sqlite/auth-store.ts': [
    '../auth-store.ts',
    '../../sessions/rotation.ts',
    '../../../auth/audit.ts',
    '../../../db/sqlite.ts',
    '../../../../shared/auth.ts',
    'drizzle-orm/better-sqlite3',
  ],
  'src/server/db/sqlite.ts': ['better-sqlite3', 'drizzle-orm/better-sqlite3/migrator', '../startup-error.ts'],
  'src/server/http/server.ts': ['../router.ts', '../services.ts'],
  'src/client/routes.tsx': ['./pages/login.tsx', './orders/list.tsx', './auth/use-session.ts'],
  'src/client/pages/login.tsx': ['../orders/list.tsx', '../auth/use-session.ts', '../ui/form.tsx', '../api/client.ts'],
  'src/client/orders/list.tsx': [
    './parts/row.tsx',
    '../auth/use-session.ts',
    '../api/client.ts',
    '../ui/button.tsx',
    '../../shared/orders.ts',
  ],
  'src/client/orders/parts/row.tsx': [
    '../list.tsx',
    '../../auth/use-session.ts',
    '../../api/client.ts',
    '../../ui/button.tsx',
    '../../../shared/orders.ts',
  ],
  'src/client/auth/use-session.ts': ['../api/client.ts', '../ui/button.tsx', '../../shared/failures.ts'],
  'src/client/ui/button.tsx': ['./field.tsx', '../../shared/failures.ts', 'react'],
  'src/client/api/client.ts': ['./session/index.ts', './refresh-link.ts', '../../shared/failures.ts'],
  'src/client/api/refresh-link.ts': ['./session/index.ts', '@trpc/client'],
  'src/client/api/session/index.ts': ['./backoff.ts'],
};

/** Tests, and what they share, may import anything. */
const TESTS: Record<string, string> = {
  'src/shared/orders.test.ts': '../server/errors.ts',
  'src/server/app.test.ts': 'better-sqlite3',
  'src/server/orders/router.test.ts': '../testing/world.ts',
  'src/server/orders/testing/orders.ts': '../../invoices/router.ts',
  'src/server/orders/pdf/testing/pages.ts': '../../../invoices/router.ts',
  'src/server/auth/store/auth-store.test.ts': '../../testing/world.ts',
  'src/server/auth/store/testing/contract.ts': '../../../testing/world.ts',
  'src/server/db/sqlite.test.ts': '../testing/world.ts',
  'src/client/routes.test.tsx': '../server/router.ts',
  'src/client/pages/login.test.tsx': '../../server/router.ts',
  'src/client/orders/list.test.tsx': '../../server/router.ts',
  'src/client/orders/testing/orders.ts': '../../../server/router.ts',
  'src/client/ui/button.test.tsx': '../api/client.ts',
  'src/client/api/client.test.ts': '../../server/router.ts',
  'src/client/api/refresh-link.test.ts': './client.ts',
  'src/client/api/session/testing/fake-server.ts': '../../../../shared/failures.ts',
};

/** The client infers its procedures from the server's router. */
const TYPES_OF_THE_SERVER: Record<string, string> = {
  'src/client/routes.tsx': '../server/router.ts',
  'src/client/pages/login.tsx': '../../server/router.ts',
  'src/client/orders/list.tsx': '../../server/router.ts',
  'src/client/orders/parts/row.tsx': '../../../server/router.ts',
  'src/client/api/client.ts': '../../server/router.ts',
};

interface Diagnostic {
  code: string;
  message: string;
  help: string;
  filename: string;
}

/** Lints the sources with the configuration in `folder`. */
async function lint(folder: string, sources: Map<string, string>): Promise<Diagnostic[]> {
  for (const [path, source] of sources) {
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await writeFile(join(folder, path), source);
  }
  const oxlint = join(PROJECT, 'node_modules/oxlint/bin/oxlint');
  const output = await new Promise<string>((resolve) => {
    // Exits with 1 when it finds something, as it should here.
    execFile(process.execPath, [oxlint, '--format', 'json'], { cwd: folder }, (_error, stdout) => resolve(stdout));
  });
  return (JSON.parse(output) as { diagnostics: Diagnostic[] }).diagnostics;
}

describe('the direction of imports', () => {
  let folder: string;
  let diagnostics: Diagnostic[];

  /** The message that a developer sees, or undefined where the import is allowed. */
  const reasonAgainst = (path: string, specifier: string): string | undefined =>
    diagnostics.find(
      ({ code, filename, message }) =>
        code === 'eslint(no-restricted-imports)' && filename === path && message.startsWith(`'${specifier}'`),
    )?.help;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'latchkey-lint-'));
    for await (const path of glob(['.oxlintrc.json', 'src/**/.oxlintrc.json'], { cwd: PROJECT }))
      await cp(join(PROJECT, path), join(folder, path), { recursive: true });
    const sources = new Map<string, string>();
    const add = (path: string, line: string) => sources.set(path, `${sources.get(path) ?? ''}${line}\n`);
    for (const [path, imports] of Object.entries(FORBIDDEN))
      for (const [specifier] of imports) add(path, `export * from '${specifier}';`);
    for (const [path, imports] of Object.entries(ALLOWED))
      for (const specifier of imports) add(path, `export * from '${specifier}';`);
    for (const [path, specifier] of Object.entries(TESTS)) add(path, `export * from '${specifier}';`);
    for (const [path, specifier] of Object.entries(TYPES_OF_THE_SERVER))
      add(path.replace(/(\.tsx?)$/, '-types$1'), `export type * from '${specifier}';`);
    diagnostics = await lint(folder, sources);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(Object.entries(FORBIDDEN).flatMap(([path, imports]) => imports.map((pair) => [path, ...pair] as const)))(
    'keeps %s from importing %s and says why',
    (path, specifier, reason) => {
      expect(reasonAgainst(path, specifier)).toMatch(reason);
    },
  );

  it.each(Object.entries(ALLOWED).flatMap(([path, imports]) => imports.map((specifier) => [path, specifier] as const)))(
    'lets %s import %s',
    (path, specifier) => {
      expect(reasonAgainst(path, specifier)).toBeUndefined();
    },
  );

  it.each(Object.entries(TESTS))('lets %s import %s', (path, specifier) => {
    expect(reasonAgainst(path, specifier)).toBeUndefined();
  });

  it.each(Object.entries(TYPES_OF_THE_SERVER))('lets %s import types of %s', (path, specifier) => {
    expect(reasonAgainst(path.replace(/(\.tsx?)$/, '-types$1'), specifier)).toBeUndefined();
  });
});
