import { defineConfig } from 'drizzle-kit';

// The glob finds the tables of every feature.
export default defineConfig({
  dialect: 'sqlite',
  schema: './src/server/**/tables.sqlite.ts',
  out: './drizzle/sqlite',
  dbCredentials: { url: './data/latchkey.db' },
});
