import { defineConfig } from 'drizzle-kit';

// A feature's own tables.sqlite.ts is found by its name.
export default defineConfig({
  dialect: 'sqlite',
  schema: './src/server/**/tables.sqlite.ts',
  out: './drizzle/sqlite',
  dbCredentials: { url: './data/latchkey.db' },
});
