import { defineConfig } from 'drizzle-kit';

// A feature's own tables.postgres.ts is found by its name.
export default defineConfig({
  dialect: 'postgresql',
  schema: './src/server/**/tables.postgres.ts',
  out: './drizzle/postgres',
});
