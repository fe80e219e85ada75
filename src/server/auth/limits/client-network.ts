import type { Request } from 'express';
import ipaddr from 'ipaddr.js';

/** What a provider assigns to one IPv6 customer, who can vary the rest at will. */
const IPV6_PREFIX_BYTES = 8;

function parse(ip: string | undefined) {
  // Some proxies append the port.
  const bare = ip?.replace(/^(?:(\d+\.\d+\.\d+\.\d+)|\[([^\]]+)\])(?::\d+)?$/, '$1$2');
  // `process` unwraps IPv4-mapped IPv6 addresses (RFC 4291, section 2.5.5.2).
  return bare === undefined || !ipaddr.isValid(bare) ? undefined : ipaddr.process(bare);
}

/** One canonical form: `192.0.2.1`, even for `::ffff:192.0.2.1`. Undefined if a proxy sent something else. */
export const clientAddress = (req: Pick<Request, 'ip'>): string | undefined => parse(req.ip)?.toString();

/** The key that limits count by, such as `192.0.2.1` or `20010db800010002/64`; `unknown` without a valid address. */
export function clientNetwork(req: Pick<Request, 'ip'>): string {
  const address = parse(req.ip);
  if (address === undefined) return 'unknown';
  if (address.kind() === 'ipv4') return address.toString();
  return `${Buffer.from(address.toByteArray().slice(0, IPV6_PREFIX_BYTES)).toString('hex')}/64`;
}
