import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  DEFAULT_NODE_CONFIG,
  DEFAULT_NODE_CONFIG_YAML,
  parseNodeConfig,
} from '@keelos/proto/node-config.ts';
import { DOCUMENT_BYTES_MAX } from '@keelos/proto/stored-config.ts';
import fc from 'fast-check';
import { documents } from './node-config-documents.ts';

const HEAD = 'apiVersion: keel/v1\n';

/** Problems as `line:column path | message | expected | suggestion`, cut to what a row names. */
function problemsOf(yaml: string): string[] {
  const parsing = parseNodeConfig(yaml);
  if (parsing.ok) return [];
  return parsing.problems.map(
    ({ line, column, path, message, suggestion }) =>
      `${line}:${column} ${path} | ${message}${suggestion === undefined ? '' : ` | ${suggestion}`}`,
  );
}

function interfaceText(lines: string): string {
  return `${HEAD}network:\n  interfaces:\n${lines}`;
}

describe('node configuration', () => {
  it('has a default document whose value is the default', () => {
    assert.deepEqual(parseNodeConfig(DEFAULT_NODE_CONFIG_YAML), {
      ok: true,
      config: DEFAULT_NODE_CONFIG,
    });
    assert.deepEqual(parseNodeConfig(HEAD), { ok: true, config: DEFAULT_NODE_CONFIG });
  });

  it('accepts the example with every setting', () => {
    const text = readFileSync(new URL('../examples/node.yaml', import.meta.url), 'utf8');
    assert.deepEqual(parseNodeConfig(text), {
      ok: true,
      config: {
        apiVersion: 'keel/v1',
        hostname: 'node-1.example.org',
        network: {
          interfaces: [
            {
              name: 'eth0',
              addresses: ['192.0.2.10/24', '2001:db8::10/64'],
              gateways: ['192.0.2.1', 'fe80::1'],
            },
            { name: 'eth1', addresses: ['198.51.100.10/25'], gateways: [] },
          ],
          nameservers: ['192.0.2.53', '2001:db8::53'],
        },
        time: { servers: ['time.example.org', '192.0.2.123'] },
        enrolment: { consoleToken: 'until-enrolled' },
        probes: [
          { name: 'ingress', tcp: '192.0.2.10:443', timeoutSeconds: 5, periodSeconds: 10 },
          {
            name: 'web',
            http: 'https://web.example.org/healthz',
            serverName: 'web.example.org',
            timeoutSeconds: 3,
            periodSeconds: 30,
          },
          {
            name: 'store',
            grpc: 'grpc://127.0.0.1:9000/shop.v1.Store',
            timeoutSeconds: 5,
            periodSeconds: 10,
          },
        ],
        update: {
          proxy: 'http://web-proxy.example.org:3128',
          noProxy: ['example.org', '192.0.2.0/24'],
        },
        health: { networkTarget: '192.0.2.1:443' },
      },
    });
  });

  const accepted: readonly (readonly [name: string, yaml: string])[] = [
    ['JSON', '{"apiVersion": "keel/v1", "time": {"servers": []}}'],
    ['a document marker', `---\n${HEAD}...\n`],
    ['carriage returns', 'apiVersion: keel/v1\r\nhostname: a\r\n'],
    ['a byte order mark', `\ufeff${HEAD}`],
    ['quoted keys and values', '"apiVersion": \'keel/v1\'\nhostname: "n5"\n'],
    ['an upper-case host name', `${HEAD}hostname: Node-1`],
    ['a host name of 64 characters', `${HEAD}hostname: ${'a'.repeat(60)}.bcd`],
    [
      'a link-local gateway without an IPv6 address',
      interfaceText('  - {name: eth0, addresses: [10.0.0.1/8], gateways: [fe80::1]}'),
    ],
    [
      'both addresses of a network of two',
      interfaceText('  - {name: eth0, addresses: [10.0.0.0/31], gateways: [10.0.0.1]}'),
    ],
    ['a host route', interfaceText('  - {name: eth0, addresses: [10.0.0.7/32]}')],
    ['a loopback name server', `${HEAD}network: {nameservers: [127.0.0.53]}`],
  ];
  for (const [name, yaml] of accepted) {
    it(`accepts ${name}`, () => assert.deepEqual(problemsOf(yaml), []));
  }

  const refused: readonly (readonly [name: string, yaml: string, ...problems: string[]])[] = [
    ['an empty document', '', '1:1  | found nothing (an empty value)'],
    ['a comment alone', '# nothing', '1:1  | found nothing (an empty value)'],
    ['a list', '- a', '1:1  | found a list'],
    ['a missing version', 'hostname: a', '1:1 apiVersion | the setting "apiVersion" is missing'],
    [
      'another version',
      'apiVersion: keel/v2',
      '1:13 apiVersion | found the text "keel/v2" | keel/v1',
    ],
    [
      'a misspelt setting',
      `${HEAD}hostnam: a`,
      '2:1 hostnam | there is no setting "hostnam" | hostname',
    ],
    [
      'another letter case',
      `${HEAD}time:\n  Servers: []`,
      '3:3 time.Servers | there is no setting "Servers" | servers',
    ],
    ['a setting like no other', `${HEAD}zzz: a`, '2:1 zzz | there is no setting "zzz"'],
    [
      'prototype names',
      `${HEAD}__proto__: {hostname: a}\nconstructor: a`,
      '2:1 __proto__ | there is no setting "__proto__" | probes',
      '3:1 constructor | there is no setting "constructor"',
    ],
    [
      'a setting twice, and both reported with what else is wrong',
      `${HEAD}hostname: a\ntime: 5\nhostname: b\n`,
      '3:7 time | found the number 5',
      '4:1 hostname | the key "hostname" is there already, in line 2',
    ],
    ['a number for text', `${HEAD}hostname: 12`, '2:11 hostname | found the number 12'],
    [
      'an empty value',
      `${HEAD}network:\ntime: {}`,
      '2:9 network | found nothing (an empty value) | {}',
    ],
    [
      'text for a list',
      `${HEAD}time: {servers: a.example}`,
      '2:17 time.servers | found the text "a.example" | ["a.example"]',
    ],
    [
      'a choice that does not exist',
      `${HEAD}enrolment: {consoleToken: every-bot}`,
      '2:27 enrolment.consoleToken | found the text "every-bot" | every-boot',
    ],
    ['a host name with a space', `${HEAD}hostname: a b`, '2:11 hostname | found the text "a b"'],
    [
      'a host name with an underscore',
      `${HEAD}hostname: a_b`,
      '2:11 hostname | found the text "a_b"',
    ],
    [
      'a dash at the end of a label',
      `${HEAD}hostname: a-.b`,
      '2:11 hostname | found the text "a-.b"',
    ],
    [
      'a host name of 65 characters',
      `${HEAD}hostname: ${'a'.repeat(61)}.bcd`,
      `2:11 hostname | found the text "${'a'.repeat(60)}…"`,
    ],
    [
      'an address as host name',
      `${HEAD}hostname: 10.0.0.1`,
      '2:11 hostname | "10.0.0.1" could be taken for an address',
    ],
    [
      'an address without prefix length',
      interfaceText('  - {name: eth0, addresses: [10.0.0.1], gateways: [10.9.9.9]}'),
      '4:30 network.interfaces[0].addresses[0] | "10.0.0.1" is not an address with prefix length | 10.0.0.1/24',
    ],
    [
      'a prefix length over 32',
      interfaceText('  - {name: eth0, addresses: [10.0.0.1/33]}'),
      '4:30 network.interfaces[0].addresses[0] | "10.0.0.1/33" is not an address with prefix length',
    ],
    [
      'the network address',
      interfaceText('  - {name: eth0, addresses: [10.0.0.0/24]}'),
      '4:30 network.interfaces[0].addresses[0] | "10.0.0.0/24" is the address of the network itself, not of a host in it',
    ],
    [
      'the broadcast address',
      interfaceText('  - {name: eth0, addresses: [10.0.0.255/24]}'),
      '4:30 network.interfaces[0].addresses[0] | "10.0.0.255/24" is the broadcast address of its network',
    ],
    [
      'a loopback address',
      interfaceText('  - {name: eth0, addresses: ["::1/128"]}'),
      '4:30 network.interfaces[0].addresses[0] | "::1/128" is not usable: it is loopback',
    ],
    [
      'an interface without addresses',
      interfaceText('  - {name: eth0, addresses: []}'),
      '4:29 network.interfaces[0].addresses | found a list of 0',
    ],
    [
      'an interface without a name',
      interfaceText('  - addresses: [10.0.0.1/8]'),
      '4:5 network.interfaces[0].name | the setting "name" is missing',
    ],
    [
      'an interface name of 16 characters',
      interfaceText('  - {name: abcdefghijklmnop, addresses: [10.0.0.1/8]}'),
      '4:12 network.interfaces[0].name | found the text "abcdefghijklmnop"',
    ],
    [
      'the loopback interface',
      interfaceText('  - {name: lo, addresses: [10.0.0.1/8]}'),
      '4:12 network.interfaces[0].name | the name "lo" is reserved',
    ],
    [
      'an interface twice',
      interfaceText(
        '  - {name: a, addresses: [10.0.0.1/8]}\n  - {name: a, addresses: [10.0.0.2/8]}',
      ),
      '5:12 network.interfaces[1].name | the interface "a" is there already, as network.interfaces[0]',
    ],
    [
      'an address twice, written differently',
      interfaceText(
        '  - {name: a, addresses: ["2001:db8::1/64"]}\n  - {name: b, addresses: ["2001:DB8:0::1/64"]}',
      ),
      '5:27 network.interfaces[1].addresses[0] | the address "2001:DB8:0::1/64" is there already',
    ],
    [
      'a gateway outside',
      interfaceText('  - name: a\n    addresses: [10.0.0.1/24]\n    gateways: [10.0.1.1]'),
      '6:16 network.interfaces[0].gateways[0] | the gateway "10.0.1.1" is in none of the networks of the interface',
    ],
    [
      'its own address as gateway',
      interfaceText('  - {name: a, addresses: [10.0.0.1/24], gateways: [10.0.0.1]}'),
      '4:52 network.interfaces[0].gateways[0] | the gateway "10.0.0.1" is an address of the interface itself',
    ],
    [
      'two gateways of a family, over two interfaces',
      interfaceText(
        '  - {name: a, addresses: [10.0.0.1/24], gateways: [10.0.0.2]}\n' +
          '  - {name: b, addresses: [10.0.1.1/24], gateways: [10.0.1.2]}',
      ),
      '5:52 network.interfaces[1].gateways[0] | "10.0.1.2" is a second IPv4 gateway, after "10.0.0.2"',
    ],
    [
      'a gateway with a zone',
      interfaceText('  - {name: a, addresses: [10.0.0.1/24], gateways: ["fe80::1%a"]}'),
      '4:52 network.interfaces[0].gateways[0] | "fe80::1%a" is not an IP address',
    ],
    [
      'a name as name server',
      `${HEAD}network: {nameservers: [dns.example]}`,
      '2:25 network.nameservers[0] | "dns.example" is not an IP address',
    ],
    [
      'four name servers',
      `${HEAD}network: {nameservers: [10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4]}`,
      '2:24 network.nameservers | found a list of 4',
    ],
    [
      'a time server that is nearly an address',
      `${HEAD}time: {servers: [10.0.0.256]}`,
      '2:18 time.servers[0] | "10.0.0.256" is not an IP address',
    ],
    [
      'a time server twice',
      `${HEAD}time: {servers: [a.example, A.example]}`,
      '2:29 time.servers[1] | "A.example" is there already',
    ],
    ['an anchor', `${HEAD}time: &a {}`, '2:7  | an anchor (&…) is not allowed'],
    ['an alias', `${HEAD}time: *a`, '2:7  | an alias (*…) is not allowed'],
    ['a tag', `${HEAD}hostname: !!str 5`, '2:11  | a tag (!…) is not allowed'],
    ['a directive', `%YAML 1.1\n---\n${HEAD}`, '1:1  | a directive (%…) is not allowed'],
    ['a second document', `${HEAD}---\n${HEAD}`, '2:1  | a second document begins'],
    ['a key that is a list', `${HEAD}? [a]\n: b`, '2:3  | a key is not text'],
    [
      'a tab as indentation',
      `${HEAD}time:\n\tservers: []`,
      '3:1  | Tabs are not allowed as indentation',
    ],
    [
      'a terminal escape in a comment',
      `${HEAD}# \u001b[2J`,
      '2:3  | the character U+001B cannot be in a document',
    ],
    [
      'half of a surrogate pair',
      `${HEAD}# é𐀀\ud800`,
      '2:5  | the character U+D800 cannot be in a document',
    ],
    ['what comes after wide characters', `"𐀀é": 5\n${HEAD}`, '1:1 𐀀é | there is no setting "𐀀é"'],
    [
      'columns count characters, not bytes',
      `{"𐀀é": 5, hostname: 5, apiVersion: keel/v1}`,
      '1:2 𐀀é | there is no setting "𐀀é"',
      '1:21 hostname | found the number 5',
    ],
  ];
  for (const [name, yaml, ...problems] of refused) {
    it(`refuses ${name}`, () => assert.deepEqual(problemsOf(yaml), problems));
  }

  it('refuses what is too long, too deep or too much', () => {
    const longest = `${HEAD}#${'x'.repeat(DOCUMENT_BYTES_MAX - HEAD.length - 1)}`;
    assert.deepEqual(problemsOf(longest), []);
    assert.deepEqual(problemsOf(`${longest}x`), [
      `1:1  | the document has ${DOCUMENT_BYTES_MAX + 1} bytes or more`,
    ]);
    assert.deepEqual(problemsOf(`a: ${'['.repeat(16)}`), ['1:19  | the nesting is too deep']);
    assert.deepEqual(problemsOf('"'.repeat(DOCUMENT_BYTES_MAX)), [
      '1:1  | the document has too many parts',
    ]);
  });

  it('reports at most fifty problems', () => {
    const keys = Array.from({ length: 80 }, (_, index) => `k${index}: 1\n`).join('');
    assert.equal(problemsOf(HEAD + keys).length, 50);
    assert.equal(problemsOf('a: &x b\n'.repeat(80)).length, 50);
    assert.equal(problemsOf(`# ${'\u0001'.repeat(80)}`).length, 50);
  });

  it('says what was expected, in every problem', () => {
    for (const [, yaml] of refused) {
      const parsing = parseNodeConfig(yaml);
      assert(!parsing.ok);
      for (const problem of parsing.problems) assert.notEqual(problem.expected, '');
    }
  });

  it('reads an accepted value again from its JSON', () => {
    fc.assert(
      fc.property(documents(), (document) => {
        const first = parseNodeConfig(JSON.stringify(document));
        assert(first.ok, JSON.stringify(first));
        assert.deepEqual(parseNodeConfig(JSON.stringify(first.config)), first);
      }),
    );
  });

  it('never throws, whatever the text', () => {
    const pieces = fc.constantFrom(
      ...['a', ': ', '- ', '? ', '\n', '  ', '[', ']', '{', '}', ',', '"', "'", '|', '>', '#'],
      ...['&a ', '*a', '!t ', '%', '---\n', '...\n', '\t', '\r', '\\', 'hostname', 'network', '5'],
    );
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join('')),
      fc.array(pieces, { maxLength: 20 }).map((parts) => HEAD + parts.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const parsing = parseNodeConfig(text);
        assert(parsing.ok || parsing.problems.length > 0);
      }),
      { numRuns: 2_000 },
    );
  });

  it('never throws, wherever a document is cut or one byte of it is changed', () => {
    const text = readFileSync(new URL('../examples/node.yaml', import.meta.url));
    for (let at = 0; at <= text.length; at++) {
      parseNodeConfig(text.subarray(0, at).toString('utf8'));
      const changed = Buffer.from(text);
      const byte = changed[at];
      if (byte !== undefined) changed[at] = byte ^ (1 << (at % 8));
      parseNodeConfig(changed.toString('utf8'));
    }
  });
});
