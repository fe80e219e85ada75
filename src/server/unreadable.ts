import { randomUUID } from 'node:crypto';
import { IncomingMessage, type Server, ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getTRPCErrorShape, TRPCError } from '@trpc/server';
import type { Request, Response } from 'express';
import { securityHeaders } from './headers.ts';
import { appRouter } from './router.ts';
import type { Services } from './services.ts';

/** What Node calls a request that it gave up, and what that is to the client. Anything else is no HTTP: 400. */
const REFUSALS = {
  HPE_HEADER_OVERFLOW: { status: 431, code: 'PAYLOAD_TOO_LARGE' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, code: 'PAYLOAD_TOO_LARGE' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, code: 'TIMEOUT' },
} as const;
const NO_HTTP = { status: 400, code: 'BAD_REQUEST' } as const;

/**
 * Answers what never becomes a request, because Node could not read it, like everything else is answered: in JSON, with
 * the headers of every answer and an id under which the log tells of it. Left to itself Node sends a bare status line.
 */
export function answerUnreadable(server: Server, { settings, log }: Services): void {
  const headers = headersOfEveryAnswer(settings);
  const answers = new WeakMap<Duplex, ServerResponse>();
  server.on('request', (req, res) => {
    answers.set(req.socket, res);
    res.once('close', () => answers.delete(req.socket));
  });

  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // Gone; or in the middle of an answer, into which another must not be written.
    if (error.code === 'ECONNRESET' || !socket.writable || answers.get(socket)?.headersSent === true) {
      socket.destroy();
      return;
    }
    const { status, code } = REFUSALS[error.code as keyof typeof REFUSALS] ?? NO_HTTP;
    const requestId = randomUUID();
    log.info({ requestId, status, outcome: [error.code] }, 'request');
    const shape = getTRPCErrorShape({
      config: appRouter._def._config,
      error: new TRPCError({ code, message: code }),
      type: 'unknown',
      path: undefined,
      input: undefined,
      ctx: undefined,
    });
    const body = JSON.stringify({ error: { ...shape, data: { ...shape.data, httpStatus: status } } });
    const lines = Object.entries({
      ...headers,
      'x-request-id': requestId,
      'cache-control': 'no-store',
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      connection: 'close',
    }).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`, () => socket.destroy());
  });
}

function headersOfEveryAnswer(settings: Services['settings']): ReturnType<ServerResponse['getHeaders']> {
  const req = new IncomingMessage(new Socket());
  const res = new ServerResponse(req);
  securityHeaders(settings)(req as Request, res as Response, () => {});
  return res.getHeaders();
}
