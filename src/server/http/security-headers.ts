import type { RequestHandler } from 'express';
import helmet from 'helmet';
import type { Settings } from '../env.ts';

const ONE_YEAR_SECONDS = 365 * 24 * 60 * 60;
const SELF = ["'self'"];
const NONE = ["'none'"];

/**
 * Sets the security headers of every answer. Development has no content security policy, because Vite's hot reload needs
 * inline scripts, and no HSTS, which a browser would apply to every other project on localhost.
 */
export function securityHeaders({ production }: Settings): RequestHandler {
  return helmet({
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
}
