import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { parseNodeConfig } from '@keelos/proto/node-config.ts';
import {
  parseEndpoint,
  parseGrpcTarget,
  parseHttpTarget,
  parseProxy,
} from '@keelos/proto/service-address.ts';
import type { NodeConfig } from '@keelos/proto/stored-config.ts';
import { completedConfig, DEFAULT_NODE_CONFIG } from '@keelos/proto/stored-config.ts';
import fc from 'fast-check';

/** A certificate by openssl. */
function certificate(): string {
  const options = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  return execFileSync('openssl', ['req', ...options, '-keyout', '/dev/null', '-subj', '/CN=a'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

/** Problems of a document as `path: message`. */
function problemsOf(document: object): string[] {
  const parsing = parseNodeConfig(JSON.stringify({ apiVersion: 'keel/v1', ...document }));
  return parsing.ok ? [] : parsing.problems.map(({ path, message }) => `${path}: ${message}`);
}

describe('addresses of services', () => {
  const endpoints: readonly (readonly [text: string, expected: string | undefined])[] = [
    ['a:1', 'a 1'],
    ['web.example.org:443', 'web.example.org 443'],
    ['192.0.2.1:65535', '192.0.2.1 65535'],
    ['[2001:db8::1]:443', '2001:db8::1 443'],
    ['[fe80::1%eth0]:443', undefined],
    ['2001:db8::1:443', undefined],
    ['[192.0.2.1]:443', undefined],
    ['192.0.2.256:443', undefined],
    ['a', undefined],
    ['a:', undefined],
    ['a:0', undefined],
    ['a:080', undefined],
    ['a:65536', undefined],
    [':443', undefined],
    ['a b:443', undefined],
    ['-a:443', undefined],
    ['a_b:443', undefined],
    ['user@a:443', undefined],
    [`${'a'.repeat(64)}:443`, undefined],
    ['a:443\n', undefined],
  ];
  for (const [text, expected] of endpoints) {
    it(`endpoint ${JSON.stringify(text.slice(0, 30))}`, () => {
      const found = parseEndpoint(text);
      assert.equal(found && `${found.host} ${found.port}`, expected);
    });
  }

  const urls: readonly (readonly [text: string, http: boolean, proxy: boolean, grpc: boolean])[] = [
    ['http://a', true, true, false],
    ['http://a/', true, true, false],
    ['http://a:3128', true, true, false],
    ['http://a/b?c=d', true, false, false],
    ['http://a/?c', true, false, false],
    ['http://u:p@a/', false, true, false],
    ['https://a/', true, false, false],
    ['https://[::1]:8443/x', true, false, false],
    ['http://a/#b', false, false, false],
    ['http://', false, false, false],
    ['http://a b/', false, false, false],
    ['http://a\\b', false, false, false],
    ['http://a/\n', false, false, false],
    ['ftp://a/', false, false, false],
    ['//a/', false, false, false],
    ['grpc://a:1', false, false, true],
    ['grpc://a:1/', false, false, true],
    ['grpcs://[::1]:9/shop.v1.Store', false, false, true],
    ['grpc://a', false, false, false],
    ['grpc://a:1/b/c', false, false, false],
    ['grpc://u@a:1', false, false, false],
    ['GRPC://a:1', false, false, false],
  ];
  for (const [text, ...expected] of urls) {
    it(`URL ${JSON.stringify(text)}`, () => {
      const found = [parseHttpTarget, parseProxy, parseGrpcTarget].map((parse) => parse(text));
      assert.deepEqual(
        found.map((each) => each !== undefined),
        expected,
      );
    });
  }

  it('are never read wrongly: what is accepted says the same when it is written again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.nat(70_000), (host, port) => {
        const found = parseEndpoint(`${host}:${port}`);
        if (found === undefined) return;
        const { host: name } = found;
        assert.equal(`${name.includes(':') ? `[${name}]` : name}:${found.port}`, `${host}:${port}`);
      }),
    );
  });
});

describe('what lies around the node, in its configuration', () => {
  const pem = certificate();
  const probe = (settings: object) => ({ probes: [{ name: 'a', ...settings }] });
  const rows: readonly (readonly [name: string, document: object, ...problems: string[]])[] = [
    ['a probe by TCP', probe({ tcp: 'h:1' })],
    ['a probe by HTTPS', probe({ http: 'https://h/', caPem: pem, serverName: 'b' })],
    ['two authorities', probe({ http: 'https://h/', caPem: `the first\n${pem}\nand\n${pem}` })],
    ['a probe by gRPC', probe({ grpc: 'grpcs://h:1/s', caPem: pem })],
    ['a probe of nothing', probe({}), 'probes[0]: found none of them'],
    ['two kinds', probe({ tcp: 'h:1', grpc: 'grpc://h:1' }), 'probes[0]: found tcp and grpc'],
    ['no port', probe({ tcp: 'host' }), 'probes[0].tcp: "host" is no target of a probe by tcp'],
    [
      'a secret in a URL',
      probe({ http: 'http://u:p@h/' }),
      'probes[0].http: "http://u:p@h/" is no target of a probe by http',
    ],
    [
      'a scheme too many',
      probe({ grpc: 'http://h:1/x' }),
      'probes[0].grpc: "http://h:1/x" is no target of a probe by grpc',
    ],
    [
      'certificates for nothing',
      probe({ tcp: 'h:1', caPem: pem, serverName: 'b' }),
      'probes[0].caPem: caPem means nothing for a probe without TLS',
      'probes[0].serverName: serverName means nothing for a probe without TLS',
    ],
    [
      'a name that is none',
      probe({ http: 'https://h/', serverName: 'a b' }),
      'probes[0].serverName: "a b" is no host name',
    ],
    [
      'a certificate that is none',
      probe({ http: 'https://h/', caPem: pem.replace('\nM', '\n*') }),
      'probes[0].caPem: certificate 1 in it cannot be read',
    ],
    [
      'a certificate without its end',
      probe({ http: 'https://h/', caPem: pem.slice(0, 100) }),
      'probes[0].caPem: found no certificate in it',
    ],
    [
      'a probe twice',
      { probes: [1, 2].map(() => ({ name: 'a', tcp: 'h:1' })) },
      'probes[1].name: the probe "a" is there already, as probes[0]',
    ],
    [
      'seconds as text',
      probe({ tcp: 'h:1', timeoutSeconds: '5' }),
      'probes[0].timeoutSeconds: found the text "5"',
    ],
    [
      'a proxy',
      { update: { proxy: 'http://u:p@h:3128', noProxy: ['a', '.b', '10.0.0.0/8', '::1'] } },
    ],
    [
      'a proxy by TLS',
      { update: { proxy: 'https://h' } },
      'update.proxy: this is no URL of a proxy',
    ],
    [
      'a password in a proxy that is refused is not repeated',
      { update: { proxy: 'socks://u:geheim@h:1' } },
      'update.proxy: this is no URL of a proxy',
    ],
    [
      'an exception that is none',
      { update: { noProxy: ['*'] } },
      'update.noProxy[0]: "*" is no server',
    ],
    ['a target', { health: { networkTarget: '[::1]:1' } }],
    [
      'a target without port',
      { health: { networkTarget: '::1' } },
      'health.networkTarget: "::1" is no service',
    ],
  ];
  for (const [name, document, ...problems] of rows) {
    it(name, () => assert.deepEqual(problemsOf(document), problems));
  }

  it('a value that an older release has stored gets the new defaults', () => {
    const { probes: _p, update: _u, health: _h, ...old } = DEFAULT_NODE_CONFIG;
    assert.deepEqual(completedConfig(old), DEFAULT_NODE_CONFIG);
    const named: Partial<NodeConfig> = { ...old, hostname: 'a' };
    assert.equal(completedConfig(named).hostname, 'a');
  });
});
