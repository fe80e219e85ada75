import { randomUUID } from 'node:crypto';
import { IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getTRPCErrorShape, TRPCError, type TRPC_ERROR_CODE_KEY } from '@trpc/server';
import type { Request, Response } from 'express';
import { securityHeaders } from './security-headers.ts';
import { appRouter } from '../router.ts';
import type { Services } from '../services.ts';

/*
 * Answers what never becomes a request for the app, like everything else is answered: in JSON, with the headers of every
 * answer and an id under which the log tells of it. Left to themselves Node sends a bare status line and Express a page.
 */

interface Fault {
  status: number;
  code: TRPC_ERROR_CODE_KEY;
}

const NO_HTTP: Fault = { status: 400, code: 'BAD_REQUEST' };
/** What Node calls a request that it gave up. Anything else is no HTTP. */
const FAULTS: Record<string, Fault> = {
  HPE_HEADER_OVERFLOW: { status: 431, code: 'PAYLOAD_TOO_LARGE' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, code: 'PAYLOAD_TOO_LARGE' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, code: 'TIMEOUT' },
};

/**
 * Answers what Node could not read.
 * @param answer the one that the connection is busy with
 */
export function answerUnreadable(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  answer: ServerResponse | undefined,
  services: Services,
): void {
  // Gone; or in the middle of an answer, into which another must not be written.
  if (error.code === 'ECONNRESET' || !socket.writable || answer?.headersSent === true) {
    socket.destroy();
    return;
  }
  const fault = FAULTS[error.code ?? ''] ?? NO_HTTP;
  const { headers, body } = answerFor(fault, error.code, services);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  const { status } = fault;
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`, () => socket.destroy());
}

/**
 * Answers what Node reads and Express would not: no host or several (RFC 9112, section 3.2), a target that is no URL, an
 * expectation that nobody meets (RFC 9110, section 10.1.1).
 * @returns whether it was such a request
 */
export function refuseUnreadable(req: IncomingMessage, res: ServerResponse, services: Services): boolean {
  const fault = faultOf(req);
  if (fault === undefined) return false;
  const { headers, body } = answerFor(fault, fault.code, services);
  res.writeHead(fault.status, headers).end(body);
  return true;
}

function faultOf({ headers, headersDistinct, httpVersion, url = '' }: IncomingMessage): Fault | undefined {
  const hosts = headersDistinct.host?.length ?? 0;
  if (hosts > 1 || (hosts === 0 && httpVersion !== '1.0')) return NO_HTTP;
  if (!url.startsWith('/') && url !== '*' && !/^https?:$/.test(URL.parse(url)?.protocol ?? '')) return NO_HTTP;
  const expectation = headers.expect ?? '100-continue';
  return /^100-continue$/i.test(expectation) ? undefined : { status: 417, code: 'BAD_REQUEST' };
}

function answerFor({ status, code }: Fault, why: string | undefined, { settings, log }: Services) {
  const requestId = randomUUID();
  log.info({ requestId, status, outcome: [why] }, 'request');
  const shape = getTRPCErrorShape({
    config: appRouter._def._config,
    error: new TRPCError({ code, message: code }),
    type: 'unknown',
    path: undefined,
    input: undefined,
    ctx: undefined,
  });
  const body = JSON.stringify({ error: { ...shape, data: { ...shape.data, httpStatus: status } } });
  const headers = {
    ...headersOfEveryAnswer(settings),
    'x-request-id': requestId,
    'cache-control': 'no-store',
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  };
  return { headers, body };
}

function headersOfEveryAnswer(settings: Services['settings']): ReturnType<ServerResponse['getHeaders']> {
  const req = new IncomingMessage(new Socket());
  const res = new ServerResponse(req);
  securityHeaders(settings)(req as Request, res as Response, () => {});
  return res.getHeaders();
}
