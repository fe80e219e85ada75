import { describe, expect, it } from 'vitest';
import { clientAddress, clientNetwork } from './client-network.ts';

describe('the client address and network', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2:3:4:5:6', '20010db800010002/64'],
    ['2001:DB8:1:2::', '2001:db8:1:2::', '20010db800010002/64'],
    ['2001:db8:1:3::1', '2001:db8:1:3::1', '20010db800010003/64'],
    ['fe80::1%eth0', 'fe80::1%eth0', 'fe80000000000000/64'],
    ['192.0.2.1:4711', '192.0.2.1', '192.0.2.1'],
    ['[2001:db8:1:2::1]:4711', '2001:db8:1:2::1', '20010db800010002/64'],
    ['[2001:db8:1:2::1]', '2001:db8:1:2::1', '20010db800010002/64'],
    ['::1', '::1', '0000000000000000/64'],
    ['', undefined, 'unknown'],
    ['nonsense', undefined, 'unknown'],
    [undefined, undefined, 'unknown'],
  ])('reads %s as address %s in network %s', (ip, address, network) => {
    expect(clientAddress({ ip })).toBe(address);
    expect(clientNetwork({ ip })).toBe(network);
  });
});
