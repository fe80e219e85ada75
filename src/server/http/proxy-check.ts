import type { Request } from 'express';
import { isSecureOrigin } from '../env.ts';
import type { Services } from '../services.ts';

const PLAIN_HTTP =
  'A browser connected over plain HTTP. It drops the session cookie, so nobody stays logged in, and anyone on the network can read the traffic. Put a proxy that terminates TLS in front, and set TRUST_PROXY to the number of proxies.';
const UNTRUSTED_PROXY =
  'A browser connected over HTTPS, but the request arrived as plain HTTP from a proxy that is not trusted, so it was refused. Set TRUST_PROXY to the number of proxies in front, and have them send X-Forwarded-Proto.';

/**
 * Returns a function that logs a warning, once each, about two deployment mistakes that keep people from staying
 * logged in. Only a request reveals them: its `Origin` shows how the browser connected. In production only.
 * Must run before the request guard, which refuses the very calls that reveal the second mistake.
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
    // As URLs: unlike a browser, a proxy may include the default port.
    if (origin !== undefined && URL.parse(`${origin.protocol}//${req.host}`)?.host === origin.host) {
      if (!isSecureOrigin(origin.origin)) warnOnce(PLAIN_HTTP);
      else if (origin.protocol === 'https:' && !req.secure) warnOnce(UNTRUSTED_PROXY);
    }
  };
}

/** Undefined for other schemes: apps send `capacitor://…`, whose URL origin is "null". */
function webOrigin(header: string | undefined): URL | undefined {
  const url = URL.parse(header ?? '');
  return url !== null && /^https?:$/.test(url.protocol) ? url : undefined;
}
