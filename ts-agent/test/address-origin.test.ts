import assert from 'node:assert/strict';
import { ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { addressOrigin } from '@keelos/ts-agent/core/address-origin.ts';
import { enrolledNode, Openings, TestClient } from './agent-fixture.ts';

describe('origin of an address', () => {
  const network = {
    interfaces: [
      { name: 'eth0', addresses: ['10.0.0.5/24', '2001:db8:0::5/64', '0.0.0.1/0'], gateways: [] },
    ],
    nameservers: [],
  };

  const cases: readonly (readonly [string, string, 'static' | 'dhcp' | 'kernel'])[] = [
    ['eth0', '10.0.0.5/24', 'static'],
    ['eth0', '2001:db8::5/64', 'static'],
    ['eth0', '::1/0', 'kernel'],
    ['eth0', '10.0.0.5/16', 'dhcp'],
    ['eth1', '10.0.0.5/24', 'dhcp'],
    ['eth0', '10.0.0.6/24', 'dhcp'],
    ['eth0', '2001:db8::5054:ff:fe12:3456/64', 'kernel'],
    ['eth0', 'fe80::1/64', 'kernel'],
    ['eth0', '169.254.1.2/16', 'kernel'],
  ];
  for (const [name, cidr, origin] of cases) {
    it(`${name} ${cidr}: ${origin}`, () => {
      const isLinkLocal = /^(fe80|169)/.test(cidr);
      assert.equal(addressOrigin({ interface: name, cidr, isLinkLocal }, network), origin);
    });
  }

  const openings = new Openings();
  afterEach(() => openings.closeAll());

  it('status tells where each address comes from, as it was at boot', async () => {
    const { client, world, certificate } = await enrolledNode(openings);
    const add = (cidr: string) =>
      world.addresses.push({ interface: 'eth0', cidr, isLinkLocal: false });
    add('10.0.2.20/24');
    add('2001:db8::5054:ff:fe12:3456/64');
    const yaml =
      'apiVersion: keel/v1\nnetwork: { interfaces: [{ name: eth0, addresses: [10.0.2.20/24] }] }\n';
    await client.call(ConfigService, 'applyConfig', { yaml });
    const origins = async (of: TestClient) =>
      (await of.call(SystemService, 'getStatus', {})).addresses.map(({ origin }) => origin);
    assert.deepEqual(await origins(client), ['dhcp', 'dhcp', 'kernel']);
    await openings.closeAll();
    world.reboot();
    const again = openings.add(new TestClient(openings.add(await world.start()), certificate));
    assert.deepEqual(await origins(again), ['dhcp', 'static', 'kernel']);
  });
});
