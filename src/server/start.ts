import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from './app.ts';
import { developmentSecrets } from './development-secrets.ts';
import { loadEnvFile, readSettings, type Settings } from './env.ts';
import { createHttpServer, serve } from './http/server.ts';
import { createLog } from './log.ts';
import { builtPage, developmentPage } from './http/spa.ts';
import { createServices } from './services.ts';
import { StartupError } from './startup-error.ts';

/** How long what is in flight may take to finish. In milliseconds. */
const DRAIN_TIMEOUT = 10_000;
/** How long the process may take to end by itself once everything is closed: as a rule none. In milliseconds. */
const END_TIMEOUT = 1_000;
/** In milliseconds. */
const PURGE_INTERVAL = 10 * 60_000;

/** Settings, store, app, listen, drain. In production unless started with `--dev`, so that nothing forgotten weakens it. */
export async function start(): Promise<void> {
  const production = !process.argv.includes('--dev');
  try {
    loadEnvFile();
    await run(
      readSettings({
        production,
        ...(production ? {} : { fallback: developmentSecrets('data/development-secrets.json') }),
      }),
    );
  } catch (error) {
    const message =
      error instanceof StartupError ? error.message : error instanceof Error ? error.stack : String(error);
    process.stderr.write(`${message}\n`);
    // Not `process.exit`: what was opened has been closed again, so the process ends by itself.
    process.exitCode = 1;
  }
}

async function run(settings: Settings): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const log = await createLog(settings);
  if (settings.production && settings.database.path === ':memory:')
    log.warn('The database is in memory: everything is lost when the server stops. Set DATABASE_URL to a file.');
  const services = opened.use(createServices(settings, log));
  const server = createHttpServer();
  const page = settings.production ? builtPage() : await developmentPage(server);
  opened.defer(() => page.close());
  const idle = serve(server, createApp(services, page.handler), services);

  const purge = setInterval(() => {
    services.purge().catch((error: unknown) => log.error({ err: error }, 'Purging failed.'));
  }, PURGE_INTERVAL);
  opened.defer(() => clearInterval(purge));

  let stopping = false;
  /** Stops accepting, finishes what is in flight, closes the database. */
  async function stop(exitCode: number, toClose: AsyncDisposable): Promise<void> {
    // Asked twice means now.
    if (stopping) process.exit(1);
    stopping = true;
    services.drain();
    const outOfTime = setTimeout(() => {
      log.error('Requests were still in flight when the time ran out.');
      process.exit(1);
    }, DRAIN_TIMEOUT);
    try {
      const closed = once(server, 'close');
      server.close();
      await idle();
      // Those that have asked for nothing, which `close` would wait for, and those of hot reload.
      server.closeAllConnections();
      await toClose[Symbol.asyncDispose]();
      await closed;
      clearTimeout(outOfTime);
      // Nothing is open any more, so the process ends by itself. `process.exit` would end it in the middle of what the
      // runtime is tidying up; it is for the case that nobody reads the log, whose last lines then keep it.
      process.exitCode = exitCode;
      log.info('Stopped.');
      setTimeout(() => process.exit(), END_TIMEOUT).unref();
    } catch (error) {
      log.fatal({ err: error }, 'Stopping failed.');
      process.exit(1);
    }
  }

  await listen(server, settings.port);
  const toClose = opened.move();
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      log.info({ signal }, 'Stopping: finishing what is in flight.');
      void stop(0, toClose);
    });
  // After either nothing is certain any more: it is said once, and the supervisor starts the server anew.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, 'An error was caught by nobody.');
      void stop(1, toClose);
    });
  const { port } = server.address() as AddressInfo;
  log.info({ port }, 'Latchkey is listening.');
  if (!settings.production) process.stdout.write(`\n  Latchkey is running at http://localhost:${port}\n\n`);
}

/** @throws StartupError where the port is taken */
function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(taken ? new StartupError(`Port ${port} is taken. Set PORT to another one.`) : error);
    });
    server.listen(port, resolve);
  });
}
