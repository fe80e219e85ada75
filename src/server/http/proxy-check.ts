import type { RequestHandler } from 'express';
import { isSecureOrigin } from '../env.ts';
import type { Services } from '../services.ts';

/**
 * Says in the log, once each, what no setting can show and only a request can: that browsers reach this server in a way
 * in which nobody can stay logged in. In production only. Browsers say in `Origin` how they came.
 */
export function deploymentAdvice({ settings, log }: Services): RequestHandler {
  const given = new Set<string>();
  const advise = (advice: string) => {
    if (given.has(advice)) return;
    given.add(advice);
    log.warn(advice);
  };
  return (req, _res, next) => {
    const origin = settings.production ? URL.parse(req.get('origin') ?? '') : null;
    // As URLs: a proxy may write the port that the scheme implies, and a browser never does.
    if (origin !== null && URL.parse(`${origin.protocol}//${req.host}`)?.host === origin.host) {
      if (!isSecureOrigin(origin.origin))
        advise(
          'A browser came over plain HTTP. It drops the cookie, so nobody stays logged in, and anybody on the way can read along. Put a proxy that terminates TLS in front, and set TRUST_PROXY to the number of proxies.',
        );
      else if (origin.protocol === 'https:' && !req.secure)
        advise(
          'A browser came over HTTPS, and this server cannot tell, so it refuses the call. Set TRUST_PROXY to the number of proxies in front, and have them send X-Forwarded-Proto.',
        );
    }
    next();
  };
}
