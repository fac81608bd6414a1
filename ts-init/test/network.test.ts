import assert from 'node:assert/strict';
import { parseIp, parseIpInterface } from '@keelos/proto/ip-network.ts';
import { hostsText, isHostname, isMachineId } from '../src/core/hostname.ts';
import {
  decodeAnswer,
  encodeAddAddress,
  encodeDefaultRoute,
  encodeLinkUp,
  encodeListAddresses,
  encodeListLinks,
} from '../src/core/netlink.ts';
import { parsePnp, planNetwork } from '../src/core/network-plan.ts';
import { readStoredConfig } from '../src/core/node-config-value.ts';
import { openNetlink } from '../src/sys/netlink-socket.ts';

describe('netlink messages', () => {
  it('sets a link up', () => {
    assert.equal(
      encodeLinkUp(2, 7).toString('hex'),
      '20000000' +
        '1000' +
        '0500' +
        '07000000' +
        '00000000' + // header
        '00000000' +
        '02000000' +
        '01000000' +
        '01000000',
    );
  });

  it('adds an IPv4 address', () => {
    const address = parseIpInterface('10.0.2.15/24');
    assert.ok(address);
    assert.equal(
      encodeAddAddress({ ...address, linkIndex: 2 }, 1).toString('hex'),
      '28000000' +
        '1400' +
        '0505' +
        '01000000' +
        '00000000' +
        '0218000002000000' +
        '080002000a00020f' +
        '080001000a00020f',
    );
  });

  it('sets an IPv6 default route', () => {
    const gateway = parseIp('fe80::2');
    assert.ok(gateway);
    assert.equal(
      encodeDefaultRoute({ gateway, linkIndex: 3 }, 1).toString('hex'),
      '38000000' +
        '1800' +
        '0505' +
        '01000000' +
        '00000000' +
        '0a000000fe04000100000000' +
        '14000500fe800000000000000000000000000002' +
        '0800040003000000',
    );
  });

  it('decodes what it encodes, whatever is cut off', () => {
    const address = parseIpInterface('2001:db8::1/64');
    assert.ok(address);
    const message = encodeAddAddress({ ...address, linkIndex: 9 }, 4);
    assert.deepEqual(decodeAnswer(message, 4).addresses, [{ ...address, linkIndex: 9 }]);
    assert.deepEqual(decodeAnswer(message, 5).addresses, []);
    for (let length = 0; length < message.length; length += 1) {
      assert.deepEqual(decodeAnswer(message.subarray(0, length), 4).addresses, []);
    }
  });

  it('reads the error of a refusal', () => {
    const error = Buffer.from('24000000020000000100000000000000ffffffff', 'hex');
    const whole = Buffer.concat([error, Buffer.alloc(16)]);
    assert.deepEqual(decodeAnswer(whole, 1), {
      complete: true,
      errno: 1,
      links: [],
      addresses: [],
    });
  });

  it("lists this machine's loopback through the real socket", () => {
    const netlink = openNetlink();
    try {
      const { links } = netlink.ask('list interfaces', encodeListLinks);
      const loopback = links.find((link) => link.name === 'lo');
      assert.ok(loopback);
      const { addresses } = netlink.ask('list addresses', encodeListAddresses);
      if (loopback.up) {
        const expected = { ...parseIpInterface('127.0.0.1/8'), linkIndex: loopback.index };
        assert.deepEqual(
          addresses.find((one) => one.linkIndex === loopback.index && one.family === 4),
          expected,
        );
      }
    } finally {
      netlink.close();
    }
  });
});

describe('network plan', () => {
  const PNP =
    '#PROTO: DHCP\ndomain example.org\nnameserver 10.0.2.3\nnameserver 0.0.0.0\nbootserver 10.0.2.2\n';

  it("reads the kernel's DHCP result and drops what is no address", () => {
    assert.deepEqual(parsePnp(PNP), {
      configured: true,
      domain: 'example.org',
      nameservers: ['10.0.2.3'],
    });
    assert.deepEqual(parsePnp(''), { configured: false, domain: '', nameservers: [] });
    assert.equal(parsePnp('#PROTO: DHCP\ndomain a\tb;options x\n').domain, '');
    assert.equal(parsePnp('#MANUAL\n').configured, false);
  });

  it('uses configured addresses and nameservers before those of DHCP', () => {
    const dhcp = parsePnp(PNP);
    const none = planNetwork({ interfaces: [], nameservers: [] }, dhcp);
    assert.equal(none.mode, 'dhcp');
    assert.equal(none.resolvConf, 'search example.org\nnameserver 10.0.2.3\n');
    const own = planNetwork(
      {
        interfaces: [{ name: 'eth0', addresses: ['192.0.2.5/24', 'x'], gateways: ['192.0.2.1'] }],
        nameservers: ['192.0.2.53'],
      },
      dhcp,
    );
    assert.equal(own.mode, 'static');
    assert.equal(own.interfaces[0]?.addresses.length, 1);
    assert.equal(own.problem, 'Not an address: x');
    assert.equal(own.resolvConf, 'search example.org\nnameserver 192.0.2.53\n');
  });
});

describe('names', () => {
  it('accepts host names of RFC 1123 only', () => {
    for (const name of ['a', 'keel-0123abcd', 'node.example.org', 'x'.repeat(63)]) {
      assert.ok(isHostname(name), name);
    }
    for (const name of [
      '',
      '-a',
      'a-',
      'A',
      'a..b',
      'a b',
      'a\n',
      'x'.repeat(64),
      `${'a.'.repeat(32)}b`,
    ]) {
      assert.ok(!isHostname(name), JSON.stringify(name));
    }
    assert.ok(isMachineId('0123456789abcdef0123456789abcdef'));
    assert.ok(!isMachineId('0'.repeat(32)));
    assert.match(hostsText('n'), /^127\.0\.1\.1 n$/m);
  });
});

describe('stored configuration', () => {
  const network = { interfaces: [], nameservers: [] };
  it('reads the part that PID 1 needs', () => {
    assert.deepEqual(readStoredConfig({ config: { hostname: 'a', network, time: 5 } }), {
      hostname: 'a',
      network,
    });
    assert.deepEqual(readStoredConfig({ config: { network } }), { network });
  });

  const wrong: readonly unknown[] = [
    null,
    [],
    {},
    { config: null },
    { config: {} },
    { config: { network: [] } },
    { config: { network: { interfaces: {}, nameservers: [] } } },
    { config: { network: { interfaces: [{}], nameservers: [] } } },
    {
      config: {
        network: { interfaces: [{ name: 'a/b', addresses: [], gateways: [] }], nameservers: [] },
      },
    },
    { config: { network: { interfaces: [], nameservers: [5] } } },
    { config: { network, hostname: 'Not A Name' } },
    { config: { network, hostname: 5 } },
  ];
  for (const payload of wrong) {
    it(`refuses ${JSON.stringify(payload)}`, () => {
      assert.throws(() => readStoredConfig(payload), RangeError);
    });
  }
});
