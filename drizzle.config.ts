import { defineConfig } from 'drizzle-kit';

// A feature brings its own tables.sqlite.ts; `npm run db:generate` finds it.
export default defineConfig({
  dialect: 'sqlite',
  schema: './src/server/**/tables.sqlite.ts',
  out: './drizzle/sqlite',
  dbCredentials: { url: './data/latchkey.db' },
});
