import type { Request } from 'express';
import { isSecureOrigin } from '../env.ts';
import type { Services } from '../services.ts';

const PLAIN_HTTP =
  'A browser connected over plain HTTP. It drops the session cookie, so nobody stays logged in, and the traffic can be read on its way. Put a proxy that terminates TLS in front, and set TRUST_PROXY to the number of proxies.';
const UNTRUSTED_PROXY =
  'A browser connected over HTTPS, but the request arrived here as plain HTTP from a proxy that is not trusted, so it was refused. Set TRUST_PROXY to the number of proxies in front, and have them send X-Forwarded-Proto.';

/**
 * Returns a function that warns in the log, once each, about two deployment mistakes with which nobody can stay logged in. No setting reveals them,
 * only a request does: browsers say in `Origin` how they connected. In production only.
 *
 * Comes before the request guard, which refuses the very calls that tell of the second one.
 */
export function proxyCheck({ settings, log }: Services): (req: Request) => void {
  const given = new Set<string>();
  const warnOnce = (warning: string) => {
    if (given.has(warning)) return;
    given.add(warning);
    log.warn(warning);
  };
  return (req) => {
    const origin = settings.production ? webOrigin(req.get('origin')) : undefined;
    // Compared as URLs: a proxy may write the port that the scheme implies, and a browser never does.
    if (origin !== undefined && URL.parse(`${origin.protocol}//${req.host}`)?.host === origin.host) {
      if (!isSecureOrigin(origin.origin)) warnOnce(PLAIN_HTTP);
      else if (origin.protocol === 'https:' && !req.secure) warnOnce(UNTRUSTED_PROXY);
    }
  };
}

/** Undefined for an origin with another scheme: apps send `capacitor://…`, whose origin as a URL is "null". */
function webOrigin(header: string | undefined): URL | undefined {
  const url = URL.parse(header ?? '');
  return url !== null && /^https?:$/.test(url.protocol) ? url : undefined;
}
