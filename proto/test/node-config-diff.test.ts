import assert from 'node:assert/strict';
import { DEFAULT_NODE_CONFIG, diffNodeConfig, parseNodeConfig } from '@keelos/proto/node-config.ts';
import { effectOf } from '@keelos/proto/node-config-diff.ts';
import type { SchemaNode } from '@keelos/proto/node-config-schema.ts';
import { NODE_CONFIG_NODE } from '@keelos/proto/node-config-schema.ts';
import type { NodeConfig } from '@keelos/proto/stored-config.ts';
import fc from 'fast-check';
import { documents } from './node-config-documents.ts';

const eth0 = { name: 'eth0', addresses: ['10.0.0.1/24'], gateways: ['10.0.0.2'] };
const probe = { name: 'a', tcp: 'h:1', timeoutSeconds: 5, periodSeconds: 10 };
const eth1 = { name: 'eth1', addresses: ['10.0.1.1/24'], gateways: [] };

function withNetwork(network: Partial<NodeConfig['network']>): NodeConfig {
  return { ...DEFAULT_NODE_CONFIG, network: { ...DEFAULT_NODE_CONFIG.network, ...network } };
}

describe('difference of node configurations', () => {
  const D = DEFAULT_NODE_CONFIG;
  const cases: readonly (readonly [string, NodeConfig, NodeConfig, ...string[]])[] = [
    ['nothing', D, D],
    ['a new host name', D, { ...D, hostname: 'a' }, 'hostname  -> "a" immediate'],
    ['a host name gone', { ...D, hostname: 'a' }, D, 'hostname "a" ->  immediate'],
    ['time servers', D, { ...D, time: { servers: ['a'] } }, 'time.servers [] -> ["a"] immediate'],
    [
      'the console token',
      D,
      { ...D, enrolment: { consoleToken: 'until-enrolled' } },
      'enrolment.consoleToken "every-boot" -> "until-enrolled" immediate',
    ],
    [
      'name servers',
      D,
      withNetwork({ nameservers: ['10.0.0.2'] }),
      'network.nameservers [] -> ["10.0.0.2"] reboot',
    ],
    [
      'an address',
      withNetwork({ interfaces: [eth0] }),
      withNetwork({ interfaces: [{ ...eth0, addresses: ['10.0.0.3/24'] }] }),
      'network.interfaces[eth0].addresses ["10.0.0.1/24"] -> ["10.0.0.3/24"] reboot',
    ],
    [
      'an interface put before another',
      withNetwork({ interfaces: [eth0] }),
      withNetwork({ interfaces: [eth1, eth0] }),
      'network.interfaces[eth1].addresses  -> ["10.0.1.1/24"] reboot',
      'network.interfaces[eth1].gateways  -> [] reboot',
    ],
    [
      'an interface gone',
      withNetwork({ interfaces: [eth0, eth1] }),
      withNetwork({ interfaces: [eth0] }),
      'network.interfaces[eth1].addresses ["10.0.1.1/24"] ->  reboot',
      'network.interfaces[eth1].gateways [] ->  reboot',
    ],
    [
      'a probe',
      D,
      { ...D, probes: [probe] },
      'probes[a].tcp  -> "h:1" immediate',
      'probes[a].timeoutSeconds  -> 5 immediate',
      'probes[a].periodSeconds  -> 10 immediate',
    ],
    [
      'a probe of another kind, and the order of probes',
      { ...D, probes: [probe, { ...probe, name: 'b' }] },
      {
        ...D,
        probes: [
          { ...probe, name: 'b' },
          { name: 'a', http: 'http://h/', timeoutSeconds: 5, periodSeconds: 10 },
        ],
      },
      'probes[a].http  -> "http://h/" immediate',
      'probes[a].tcp "h:1" ->  immediate',
    ],
    [
      'the way to updates and out',
      D,
      {
        ...D,
        update: { proxy: 'http://p:1', noProxy: ['a'], caPem: 'x' },
        health: { networkTarget: 'h:1' },
      },
      'update.proxy  -> "http://p:1" immediate',
      'update.noProxy [] -> ["a"] immediate',
      'update.caPem  -> "x" immediate',
      'health.networkTarget  -> "h:1" immediate',
    ],
    [
      'the order of interfaces alone, which means nothing',
      withNetwork({ interfaces: [eth0, eth1] }),
      withNetwork({ interfaces: [eth1, eth0] }),
    ],
  ];
  for (const [name, before, after, ...changes] of cases) {
    it(`tells ${name}`, () => {
      const texts = diffNodeConfig(before, after).map(
        ({ path, oldJson, newJson, effect }) => `${path} ${oldJson} -> ${newJson} ${effect}`,
      );
      assert.deepEqual(texts, changes);
    });
  }

  it('leaves no setting of the schema out', () => {
    const leaves = leafPaths(NODE_CONFIG_NODE, '');
    const empty = {
      network: { interfaces: [] },
      time: {},
      enrolment: {},
      probes: [],
      update: {},
      health: {},
    } as unknown as NodeConfig;
    const full = {
      apiVersion: 'keel/v1',
      hostname: 'a',
      network: { interfaces: [eth0], nameservers: [] },
      time: { servers: [] },
      enrolment: { consoleToken: 'every-boot' },
      probes: [{ ...probe, http: 'x', grpc: 'x', caPem: 'x', serverName: 'x' }],
      update: { proxy: 'x', noProxy: [], caPem: 'x' },
      health: { networkTarget: 'x' },
    } as const satisfies NodeConfig;
    const told = diffNodeConfig(empty, full)
      .map(({ path }) => path.replace(/\[(eth0|a)\]/, '[]'))
      .filter((path) => path !== 'network.interfaces[].name');
    assert.deepEqual(told.sort(), leaves.filter((path) => !path.endsWith('[].name')).sort());
  });

  it('is empty for equal values, and mirrored when the sides are changed', () => {
    fc.assert(
      fc.property(documents(), documents(), (left, right) => {
        const [a, b] = [left, right].map((document) => {
          const parsing = parseNodeConfig(JSON.stringify(document));
          assert(parsing.ok);
          return parsing.config;
        });
        assert(a !== undefined && b !== undefined);
        assert.deepEqual(diffNodeConfig(a, structuredClone(a)), []);
        const there = diffNodeConfig(a, b).map(({ path, oldJson, newJson }) => ({
          path,
          oldJson,
          newJson,
        }));
        const back = diffNodeConfig(b, a).map(({ path, oldJson, newJson }) => ({
          path,
          oldJson: newJson,
          newJson: oldJson,
        }));
        const byPath = (x: { path: string }, y: { path: string }) => (x.path < y.path ? -1 : 1);
        assert.deepEqual(there.sort(byPath), back.sort(byPath));
      }),
    );
  });

  it('holds a setting that is in no row of the table until a reboot', () => {
    assert.equal(effectOf('kubelet.extra'), 'reboot');
    assert.equal(effectOf('timezone'), 'reboot');
    assert.equal(effectOf('time.servers'), 'immediate');
  });
});

/** Settings that have a value of their own; lists of texts count as one. */
function leafPaths(schema: SchemaNode, path: string): string[] {
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([name, child]) =>
      leafPaths(child, path === '' ? name : `${path}.${name}`),
    );
  }
  return schema.items?.properties === undefined ? [path] : leafPaths(schema.items, `${path}[]`);
}
