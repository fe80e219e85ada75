import type { RequestHandler } from 'express';
import helmet from 'helmet';
import type { Settings } from '../env.ts';

/** In seconds. */
const ONE_YEAR = 365 * 24 * 60 * 60;
const SELF = ["'self'"];
const NONE = ["'none'"];

/**
 * The headers of every answer. In development without a content security policy and HSTS: Vite's hot reload needs inline
 * scripts, and a browser that has once seen HSTS for localhost keeps to it for every other project.
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
    strictTransportSecurity: production && { maxAge: ONE_YEAR, includeSubDomains: true },
    referrerPolicy: { policy: 'no-referrer' },
    crossOriginEmbedderPolicy: false,
    xFrameOptions: { action: 'deny' },
  });
}
