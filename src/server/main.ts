import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type RequestHandler } from 'express';
import { createApp } from './app.ts';
import { developmentSecrets } from './development-secrets.ts';
import { loadEnvFile, readSettings, type Settings } from './env.ts';
import { createHttpServer, serve } from './http/server.ts';
import { builtPage, developmentPage } from './http/spa.ts';
import { createLog } from './log.ts';
import type { Mailbox } from './mail/mailbox.ts';
import { createServices } from './services.ts';
import { StartupError } from './startup-error.ts';

const DRAIN_TIMEOUT_MS = 10_000;
const EXIT_TIMEOUT_MS = 1_000;
const PURGE_INTERVAL_MS = 10 * 60_000;

// Before anything that waits, such as for another server that migrates: the first process of a container ignores a signal
// for which it has no handler. Nothing that a start does has to be finished.
let onSignal = (_signal: NodeJS.Signals): void => process.exit();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => onSignal(signal));

try {
  // Production is the default, so that a forgotten flag or variable never weakens it.
  const production = !process.argv.includes('--dev');
  loadEnvFile();
  const fallback = production ? {} : developmentSecrets();
  await run(readSettings({ production, fallback }));
} catch (error) {
  const message = error instanceof StartupError ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`${message}\n`);
  // Not `process.exit`: everything has been closed, so the process ends by itself.
  process.exitCode = 1;
}

async function run(settings: Settings): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const log = await createLog(settings);
  if (settings.production && settings.database.kind === 'sqlite' && settings.database.path === ':memory:')
    log.warn(
      'The database is in memory and will be lost when the server stops. To keep it, set DATABASE_URL to a file.',
    );
  if (settings.mail === undefined)
    log.info('MAIL_URL is not set: email verification, password reset and notifications are off');
  const services = opened.use(await createServices(settings, log));
  const server = createHttpServer();
  const page = settings.production ? builtPage() : await developmentPage(server);
  opened.defer(() => page.close());
  const mailbox = settings.production ? undefined : services.mail?.mailbox;
  const pages = mailbox === undefined ? page.handler : await withMailbox(mailbox, page.handler);
  const idle = serve(server, createApp(services, pages));

  let stopping = false;
  async function stop(exitCode: number, toClose: AsyncDisposable): Promise<void> {
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
      // `server.close` alone would wait for hot-reload sockets and for connections that have never sent a request.
      server.closeAllConnections();
      await toClose[Symbol.asyncDispose]();
      await closed;
      clearTimeout(timeout);
      // With nothing left open, the process ends by itself; `process.exit` would cut the runtime's clean-up short.
      // The timer is only for unread log output, which would keep the process alive.
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
      if (!stopping) log.error({ err: error }, 'Purge failed');
    });
  const purging = setInterval(() => void purge(), PURGE_INTERVAL_MS);
  opened.defer(() => clearInterval(purging));

  await listen(server, settings.port);
  const toClose = opened.move();
  onSignal = (signal) => {
    log.info({ signal }, 'Stopping: finishing requests in flight');
    void stop(0, toClose);
  };
  // The process is in an unknown state after either. The supervisor starts a new one.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, 'Uncaught error');
      void stop(1, toClose);
    });
  const { port } = server.address() as AddressInfo;
  log.info({ port }, `Listening on port ${port}`);
  // In development it is that of localhost, whose port may have been for the system to choose.
  const appUrl = settings.appUrl?.replace(/:0$/, `:${port}`);
  if (appUrl !== undefined) services.mail?.outbox.start(appUrl);
  if (!settings.production) {
    const origin = `http://localhost:${port}`;
    const mail = mailbox === undefined ? '' : `  Its mail is at ${origin}/dev/mail\n`;
    process.stdout.write(`\n  Latchkey is running at ${origin}\n${mail}\n`);
  }
  // Otherwise a server that restarts more often than the interval would never purge.
  void purge();
}

/** Loaded only where there is a mailbox, so that production has nothing of it. */
async function withMailbox(mailbox: Mailbox, page: RequestHandler): Promise<RequestHandler> {
  const { mailboxPages } = await import('./mail/mailbox-pages.ts');
  return express.Router().use('/dev/mail', mailboxPages(mailbox)).use(page);
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
