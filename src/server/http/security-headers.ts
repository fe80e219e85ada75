import type { IncomingMessage, ServerResponse } from 'node:http';
import helmet from 'helmet';
import type { Settings } from '../env.ts';

const ONE_YEAR_SECONDS = 365 * 24 * 60 * 60;
const SELF = ["'self'"];
const NONE = ["'none'"];

/**
 * The security headers of every response. Development has no CSP, because Vite's hot reload needs inline scripts, and
 * no HSTS, which browsers would apply to every project on localhost.
 */
export function securityHeaders({ production }: Pick<Settings, 'production'>): Record<string, string> {
  const middleware = helmet({
    contentSecurityPolicy: production && {
      useDefaults: false,
      directives: {
        defaultSrc: NONE,
        scriptSrc: SELF,
        styleSrc: SELF,
        imgSrc: ["'self'", 'data:'],
        fontSrc: SELF,
        connectSrc: SELF,
        manifestSrc: SELF,
        formAction: SELF,
        frameAncestors: NONE,
        baseUri: NONE,
        objectSrc: NONE,
        requireTrustedTypesFor: ["'script'"],
      },
    },
    strictTransportSecurity: production && { maxAge: ONE_YEAR_SECONDS, includeSubDomains: true },
    referrerPolicy: { policy: 'no-referrer' },
    crossOriginEmbedderPolicy: false,
    xFrameOptions: { action: 'deny' },
  });
  // Run once instead of per request: the values never change.
  const headers: Record<string, string> = {};
  const recorder = { setHeader: (name: string, value: string) => (headers[name] = value), removeHeader: () => {} };
  middleware({} as IncomingMessage, recorder as unknown as ServerResponse, () => {});
  return headers;
}
