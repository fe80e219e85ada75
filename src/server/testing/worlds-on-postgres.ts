import { useDatabases } from './databases.ts';
import { execute, type TestDatabase } from './postgres.ts';
import { testDatabase } from './test-database.ts';

/** Emptying a database takes less time than creating one. */
const unused: TestDatabase[] = [];

useDatabases(async () => {
  const database = unused.pop() ?? (await testDatabase());
  return {
    settings: { kind: 'postgres', url: database.url },
    async [Symbol.asyncDispose]() {
      await execute(
        database.url,
        'delete from users; delete from sessions; delete from outbox; delete from rate_limits; delete from audit_events',
      );
      unused.push(database);
    },
  };
});
