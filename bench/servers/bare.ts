// The baseline: tRPC on the stock Express adapter, with one procedure that returns what `auth.me` does.
import type { AddressInfo } from 'node:net';
import { initTRPC } from '@trpc/server';
import { createExpressMiddleware } from '@trpc/server/adapters/express';
import express from 'express';

const t = initTRPC.create({ isDev: false });
const user = {
  id: '1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed',
  username: 'ada',
  email: 'ada@example.com',
  emailVerified: false,
  role: 'user',
  createdAt: '2030-01-01T00:00:00.000Z',
};
const router = t.router({ me: t.procedure.query(() => user) });

const server = express()
  .use('/trpc', createExpressMiddleware({ router }))
  .listen(0, () => {
    process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
  });
process.once('SIGTERM', () => process.exit(0));
