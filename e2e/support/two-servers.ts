import { testDatabase } from '../../src/server/testing/test-database.ts';
import { balancerBefore } from './balancer.ts';
import { startProductAs } from './server.ts';

// For the stories that are also told of two servers on one PostgreSQL database, which answer in turn.
startProductAs(async (startOne, options) => {
  const opened = new AsyncDisposableStack();
  try {
    const database = opened.use(await testDatabase());
    const settings = { ...options.settings, DATABASE_URL: database.url };
    const first = opened.use(await startOne({ ...options, settings }));
    const second = opened.use(await startOne({ ...options, settings }));
    const { url } = opened.use(await balancerBefore([first, second]));
    return {
      ...first,
      url,
      port: Number(new URL(url).port),
      output: () => first.output() + second.output(),
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
});
