import { fileURLToPath } from 'node:url';
import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: folder('./src/client'),
  publicDir: folder('./src/client/public'),
  plugins: [react(), tailwindcss()],
  build: {
    outDir: folder('./dist/client'),
    emptyOutDir: true,
    // The CSP forbids data: URLs, which inlined assets would be.
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        // All that the first page needs in one file: by default, what other pages use too is split off in small ones, which
        // compress worse.
        codeSplitting: { groups: [{ name: 'first', tags: ['$initial'] }] },
      },
    },
  },
  test: {
    root: folder('.'),
    execArgv: ['--import', folder('./src/server/db/drizzle-hook.js')],
    // By default one core would be left idle, which is half of a small machine.
    maxWorkers: '100%',
    // By default a second, which a busy machine may need for anything.
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        root: folder('.'),
        test: {
          name: 'unit',
          include: ['{src,scripts}/**/*.test.{ts,tsx}'],
          exclude: ['**/*.http.test.ts'],
          globalSetup: 'src/server/testing/postgres.global-setup.ts',
          // These only catch what hangs: no test depends on the speed of the machine.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        root: folder('.'),
        test: {
          name: 'http',
          include: ['src/**/*.http.test.ts'],
          globalSetup: 'src/server/testing/postgres.global-setup.ts',
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        root: folder('.'),
        // What does not depend on the database, once more with another one.
        test: {
          name: 'http-postgres',
          include: [
            'src/server/attacks.http.test.ts',
            'src/server/fuzz.http.test.ts',
            'src/server/{mailed-links,procedures}.http.test.ts',
            'src/server/{auth,account,admin,email-change,email-verification,password-reset,mail}/**/*.http.test.ts',
          ],
          globalSetup: 'src/server/testing/postgres.global-setup.ts',
          setupFiles: 'src/server/testing/worlds-on-postgres.ts',
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        root: folder('.'),
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          // Builds the client, so that tests never run against an old build.
          globalSetup: ['e2e/support/global-setup.ts', 'src/server/testing/postgres.global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        root: folder('.'),
        // The stories once more, with two servers on one PostgreSQL database that answer in turn.
        test: {
          name: 'e2e-two-servers',
          include: ['e2e/**/*.test.ts'],
          exclude: [
            // About the process itself, the files of SQLite, the development server or the README's example.
            'e2e/{operations,start,secrets,development,readme}.test.ts',
            // About what a page contains and downloads, which is the same from either server.
            'e2e/{accessibility,admin-accessibility,first-visit,script-injection}.test.ts',
            // Starts two servers of its own.
            'e2e/two-servers.test.ts',
            // Each story has a mail server of its own, and so could share its pair of servers with no other.
            'e2e/{email,forgotten-password}.test.ts',
          ],
          setupFiles: 'e2e/support/two-servers.ts',
          globalSetup: ['e2e/support/global-setup.ts', 'src/server/testing/postgres.global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
