import type { AddressInfo } from 'node:net';
import { createApp } from './app.ts';
import { developmentSecrets } from './development-secrets.ts';
import { loadEnvFile, readSettings, type Settings } from './env.ts';
import { createHttpServer } from './http-server.ts';
import { createLog } from './log.ts';
import { builtPage, developmentPage } from './page.ts';
import { createServices } from './services.ts';
import { StartupError } from './startup-error.ts';

/** How long what is in flight may take to finish. In milliseconds. */
const DRAIN_TIMEOUT = 10_000;
/** In milliseconds. */
const PURGE_INTERVAL = 10 * 60_000;

/** Settings, store, app, listen, drain. In production unless started with `--dev`, so that nothing forgotten weakens it. */
export async function start(): Promise<void> {
  const production = !process.argv.includes('--dev');
  try {
    loadEnvFile();
    await serve(
      readSettings({
        production,
        ...(production ? {} : { fallback: developmentSecrets('data/development-secrets.json') }),
      }),
    );
  } catch (error) {
    const message =
      error instanceof StartupError ? error.message : error instanceof Error ? error.stack : String(error);
    process.stderr.write(`${message}\n`);
    process.exit(1);
  }
}

async function serve(settings: Settings): Promise<void> {
  const log = await createLog(settings);
  const services = createServices(settings, log);
  const server = createHttpServer();
  const page = settings.production ? builtPage() : await developmentPage(server);
  server.on('request', createApp(services, page.handler));

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(taken ? new StartupError(`Port ${settings.port} is taken. Set PORT to another one.`) : error);
    });
    server.listen(settings.port, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const purge = setInterval(() => {
    services.purge().catch((error: unknown) => log.error({ err: error }, 'Purging failed.'));
  }, PURGE_INTERVAL);
  log.info({ port }, 'Latchkey is listening.');
  if (!settings.production) process.stdout.write(`\n  Latchkey is running at http://localhost:${port}\n\n`);

  let stopping = false;
  /** Stops accepting, finishes what is in flight, closes the database. */
  async function stop(exitCode: number): Promise<void> {
    // Asked twice means now.
    if (stopping) process.exit(1);
    stopping = true;
    services.drain();
    clearInterval(purge);
    setTimeout(() => {
      log.error('Requests were still in flight when the time ran out.');
      process.exit(1);
    }, DRAIN_TIMEOUT).unref();
    // Whose last answer is under way now is not kept any longer than that; who is idle already is closed by `close`.
    server.keepAliveTimeout = 1;
    try {
      // Before the server, which waits for the connections of hot reload.
      await page.close();
      await new Promise((resolve) => {
        server.close(resolve);
      });
      await services[Symbol.asyncDispose]();
      log.info('Stopped.');
    } catch (error) {
      log.fatal({ err: error }, 'Stopping failed.');
      process.exit(1);
    }
    process.exit(exitCode);
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      log.info({ signal }, 'Stopping: finishing what is in flight.');
      void stop(0);
    });
  // After either nothing is certain any more: it is said once, and the supervisor starts the server anew.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, 'An error was caught by nobody.');
      void stop(1);
    });
}
