import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { isInNetwork, parseIp, parseIpInterface, scopeOf } from '@keelos/proto/ip-network.ts';
import fc from 'fast-check';

describe('addresses and networks', () => {
  it('reads exactly what the platform takes for an address, without zones', () => {
    const texts = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.stringMatching(/^[0-9a-f:.]{0,20}$/),
      fc.string({ maxLength: 12 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        assert.equal(parseIp(text)?.family ?? 0, text.includes('%') ? 0 : isIP(text));
      }),
      { numRuns: 1_000 },
    );
  });

  it('reads the same number from every way of writing an address', () => {
    for (const text of [
      '2001:db8::1',
      '2001:DB8:0:0::1',
      '2001:db8:0:0:0:0:0:1',
      '2001:db8::0.0.0.1',
    ]) {
      assert.equal(parseIp(text)?.bits, 0x20010db8000000000000000000000001n, text);
    }
    assert.equal(parseIp('::')?.bits, 0n);
    assert.equal(parseIp('1::')?.bits, 1n << 112n);
    assert.equal(parseIp('255.255.255.255')?.bits, 0xffffffffn);
  });

  it('finds an address in a network exactly when the platform does', () => {
    const pairs = fc.oneof(
      fc.tuple(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), fc.constant('ipv4' as const)),
      fc.tuple(
        fc.ipV6(),
        fc.ipV6(),
        fc.integer({ min: 0, max: 128 }),
        fc.constant('ipv6' as const),
      ),
    );
    fc.assert(
      fc.property(pairs, fc.boolean(), ([address, base, prefix, family], near) => {
        const inside = near ? base : address;
        const list = new BlockList();
        list.addSubnet(base, prefix, family);
        const network = parseIpInterface(`${base}/${prefix}`);
        const parsed = parseIp(inside);
        assert(network !== undefined && parsed !== undefined);
        assert.equal(isInNetwork(parsed, network), list.check(inside, family));
      }),
      { numRuns: 1_000 },
    );
  });

  const refused = ['', '/', '10.0.0.1', '10.0.0.1/', '10.0.0.1/33', '10.0.0.1/08', '10.0.0.1/+8'];
  for (const text of [
    ...refused,
    '::/129',
    '10.0.0.1/8/8',
    ' 10.0.0.1/8',
    'fe80::1%a/64',
    '010.0.0.1/8',
  ]) {
    it(`refuses "${text}" as address with prefix length`, () => {
      assert.equal(parseIpInterface(text), undefined);
    });
  }

  const scopes = {
    '0.0.0.0': 'unspecified',
    '127.1.2.3': 'loopback',
    '224.0.0.1': 'multicast',
    '255.255.255.255': 'broadcast',
    '169.254.1.1': 'link-local',
    '192.0.2.1': 'unicast',
    '::': 'unspecified',
    '::1': 'loopback',
    '::ffff:10.0.0.1': 'ipv4-mapped',
    'ff02::1': 'multicast',
    'febf::1': 'link-local',
    'fec0::1': 'unicast',
  };
  for (const [text, scope] of Object.entries(scopes)) {
    it(`takes ${text} for ${scope}`, () => {
      const address = parseIp(text);
      assert(address !== undefined);
      assert.equal(scopeOf(address), scope);
    });
  }
});
