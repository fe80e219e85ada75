import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const folder = (path: string) => new URL(path, import.meta.url).pathname;

export default defineConfig({
  root: folder('./src/client'),
  publicDir: folder('./src/client/public'),
  plugins: [react(), tailwindcss()],
  build: {
    outDir: folder('./dist/client'),
    emptyOutDir: true,
    // A data: URL would need a hole in the content security policy.
    assetsInlineLimit: 0,
  },
  test: {
    root: folder('.'),
    projects: [
      {
        extends: true,
        root: folder('.'),
        test: {
          name: 'unit',
          include: ['{src,scripts}/**/*.test.{ts,tsx}'],
          exclude: ['**/*.http.test.ts'],
          // Against a test that hangs; none depends on how fast the machine is.
          testTimeout: 120_000,
        },
      },
      {
        extends: true,
        root: folder('.'),
        test: { name: 'http', include: ['src/**/*.http.test.ts'], testTimeout: 120_000 },
      },
      {
        extends: true,
        root: folder('.'),
        // One browser at a time: the machine has few cores and the stories are about order, not speed.
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          // Builds the product, so that the stories are told of what is there now, whatever started them.
          globalSetup: 'e2e/support/global-setup.ts',
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
