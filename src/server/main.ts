import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from './app.ts';
import { developmentSecrets } from './development-secrets.ts';
import { loadEnvFile, readSettings, type Settings } from './env.ts';
import { createHttpServer, serve } from './http/server.ts';
import { builtPage, developmentPage } from './http/spa.ts';
import { createLog } from './log.ts';
import { createServices } from './services.ts';
import { StartupError } from './startup-error.ts';

/** How long requests in flight may take to finish once the server has been told to stop. */
const DRAIN_TIMEOUT_MS = 10_000;
/** How long the process may take to exit by itself once everything is closed. Normally it takes no time at all. */
const EXIT_TIMEOUT_MS = 1_000;
const PURGE_INTERVAL_MS = 10 * 60_000;

try {
  // Production unless told otherwise, so that a forgotten flag or variable never weakens it.
  const production = !process.argv.includes('--dev');
  loadEnvFile();
  const fallback = production ? {} : developmentSecrets();
  await run(readSettings({ production, fallback }));
} catch (error) {
  const message = error instanceof StartupError ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`${message}\n`);
  // Rather than `process.exit`: everything opened has been closed again, so the process ends by itself.
  process.exitCode = 1;
}

async function run(settings: Settings): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const log = await createLog(settings);
  if (settings.production && settings.database.kind === 'sqlite' && settings.database.path === ':memory:')
    log.warn(
      'The database is in memory and will be lost when the server stops. Set DATABASE_URL to a file to keep it.',
    );
  const services = opened.use(await createServices(settings, log));
  const server = createHttpServer();
  const page = settings.production ? builtPage() : await developmentPage(server);
  opened.defer(() => page.close());
  const idle = serve(server, createApp(services, page.handler));

  let stopping = false;
  async function stop(exitCode: number, toClose: AsyncDisposable): Promise<void> {
    // A second signal means: now.
    if (stopping) process.exit(1);
    stopping = true;
    services.drain();
    const timeout = setTimeout(() => {
      log.error('Shutdown timed out with requests still in flight');
      process.exit(1);
    }, DRAIN_TIMEOUT_MS);
    try {
      const closed = once(server, 'close');
      server.close();
      await idle();
      // `close` would wait for connections on which no request has arrived, and for those of hot reload.
      server.closeAllConnections();
      await toClose[Symbol.asyncDispose]();
      await closed;
      clearTimeout(timeout);
      // The process ends by itself, as nothing is open any more; `process.exit` would interrupt the runtime's own clean-up.
      // It is only for a log that nobody reads, whose last lines would keep the process alive.
      process.exitCode = exitCode;
      log.info('Stopped');
      setTimeout(() => process.exit(), EXIT_TIMEOUT_MS).unref();
    } catch (error) {
      log.fatal({ err: error }, 'Shutdown failed');
      process.exit(1);
    }
  }

  const purge = () =>
    services.purge().catch((error: unknown) => {
      // The database closes under it when the server stops.
      if (!stopping) log.error({ err: error }, 'Purge failed');
    });
  const purging = setInterval(() => void purge(), PURGE_INTERVAL_MS);
  opened.defer(() => clearInterval(purging));

  await listen(server, settings.port);
  const toClose = opened.move();
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      log.info({ signal }, 'Stopping: finishing requests in flight');
      void stop(0, toClose);
    });
  // The state of the process is unknown after either, so it stops, and the supervisor starts a new one.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, 'Uncaught error');
      void stop(1, toClose);
    });
  const { port } = server.address() as AddressInfo;
  log.info({ port }, `Listening on port ${port}`);
  if (!settings.production) process.stdout.write(`\n  Latchkey is running at http://localhost:${port}\n\n`);
  // A server that restarts more often than the interval would otherwise never purge.
  void purge();
}

/** @throws StartupError if the port is taken */
function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(taken ? new StartupError(`Port ${port} is taken. Set PORT to another one.`) : error);
    });
    server.listen(port, resolve);
  });
}
