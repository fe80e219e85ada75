import type { Request } from 'express';
import ipaddr from 'ipaddr.js';

/** The part of an IPv6 address that a provider assigns to a customer, who can vary the rest at will. In bytes. */
const IPV6_PREFIX_BYTES = 8;

function parse(ip: string | undefined) {
  // Some proxies append the port.
  const bare = ip?.replace(/^(?:(\d+\.\d+\.\d+\.\d+)|\[([^\]]+)\])(?::\d+)?$/, '$1$2');
  // `process` turns an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) into the IPv4 address.
  return bare === undefined || !ipaddr.isValid(bare) ? undefined : ipaddr.process(bare);
}

/**
 * The caller's address, always written the same way: `192.0.2.1`, even if it arrives as `::ffff:192.0.2.1`.
 * @returns undefined if it is unknown, or if what a proxy passed on is not an address
 */
export const clientAddress = (req: Pick<Request, 'ip'>): string | undefined => parse(req.ip)?.toString();

/**
 * What limits count by: the address for IPv4, the /64 for IPv6, and `unknown` for all callers without a known address.
 * @returns a key for counters, such as `192.0.2.1` or `20010db800010002/64`
 */
export function clientNetwork(req: Pick<Request, 'ip'>): string {
  const address = parse(req.ip);
  if (address === undefined) return 'unknown';
  if (address.kind() === 'ipv4') return address.toString();
  return `${Buffer.from(address.toByteArray().slice(0, IPV6_PREFIX_BYTES)).toString('hex')}/64`;
}
