import ipaddr from 'ipaddr.js';

/** Of an IPv6 address, what is handed out to one customer: within it they may take any address they like. In bytes. */
const IPV6_PREFIX = 8;

/**
 * Whom an address stands for when calls are counted: the address itself for IPv4, also where it comes mapped into IPv6, and
 * the /64 for IPv6. All whose address is not known are counted together.
 * @param ip as Express tells it
 */
export function networkOf(ip: string | undefined): string {
  // Some proxies add the port.
  const bare = ip?.replace(/^(?:(\d+\.\d+\.\d+\.\d+)|\[([^\]]+)\])(?::\d+)?$/, '$1$2');
  if (bare === undefined || !ipaddr.isValid(bare)) return 'unknown';
  const address = ipaddr.process(bare);
  return address.kind() === 'ipv4'
    ? address.toString()
    : `${Buffer.from(address.toByteArray().slice(0, IPV6_PREFIX)).toString('hex')}/64`;
}
