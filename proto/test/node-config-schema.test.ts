import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  DEFAULT_NODE_CONFIG_YAML,
  nodeConfigJsonSchema,
  parseNodeConfig,
} from '@keelos/proto/node-config.ts';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { parse } from 'yaml';
import { documents } from './node-config-documents.ts';

const accepts = new Ajv2020({ strict: true, allErrors: true }).compile(nodeConfigJsonSchema());

/** Paths of a problem as JSON pointers without list indexes' brackets. */
function pointer(path: string): string {
  return path === ''
    ? ''
    : `/${path.replaceAll('[', '/').replaceAll(']', '').replaceAll('.', '/')}`;
}

describe('JSON Schema of the node configuration', () => {
  it('is accepted by a second validator, strictly, and accepts our documents', () => {
    const example = readFileSync(new URL('../examples/node.yaml', import.meta.url), 'utf8');
    for (const text of [DEFAULT_NODE_CONFIG_YAML, example]) {
      assert(accepts(parse(text)), JSON.stringify(accepts.errors));
    }
  });

  it('accepts every document that is accepted here', () => {
    fc.assert(
      fc.property(documents(), (document) => {
        assert(parseNodeConfig(JSON.stringify(document)).ok);
        assert(accepts(document), JSON.stringify(accepts.errors));
      }),
    );
  });

  it('refuses what is refused here for its form, and in the same place', () => {
    const wrong: readonly (readonly [path: string, value: unknown])[] = [
      ['', null],
      ['', []],
      ['apiVersion', 'keel/v2'],
      ['hostname', 5],
      ['hostname', ''],
      ['hostname', 'a b'],
      ['hostname', 'a'.repeat(65)],
      ['network', null],
      ['network.interfaces', {}],
      ['network.interfaces', Array(17).fill({ name: 'a', addresses: ['10.0.0.1/8'] })],
      ['network.interfaces[0]', 'eth0'],
      ['network.interfaces[0].name', 'abcdefghijklmnop'],
      ['network.interfaces[0].name', 'a/b'],
      ['network.interfaces[0].addresses', []],
      ['network.interfaces[0].addresses[0]', 'x'],
      ['network.interfaces[0].gateways[0]', 'x'],
      ['network.nameservers[0]', true],
      ['time.servers[0]', '-'],
      ['time.servers', ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']],
      ['enrolment.consoleToken', 'never'],
      ['probes', {}],
      ['probes', Array(33).fill({ name: 'a', tcp: 'h:1' })],
      ['probes[0].name', 'A'],
      ['probes[0].name', '-a'],
      ['probes[0].tcp', 5],
      ['probes[0].caPem', 'none'],
      ['probes[0].timeoutSeconds', 0],
      ['probes[0].timeoutSeconds', 3_601],
      ['probes[0].timeoutSeconds', 1.5],
      ['probes[0].periodSeconds', '10'],
      ['update', null],
      ['update.noProxy', 'a'],
      ['update.proxy', ''],
      ['health.networkTarget', []],
    ];
    for (const [path, value] of wrong) {
      const document = place(path, value);
      assert(!accepts(document), path);
      const parsing = parseNodeConfig(JSON.stringify(document) ?? 'null');
      assert(!parsing.ok, path);
      const ours = parsing.problems.map((problem) => pointer(problem.path));
      const theirs = accepts.errors?.map(({ instancePath }) => instancePath) ?? [];
      assert(ours.includes(pointer(path)), `${path}: ${ours}`);
      assert(theirs.includes(pointer(path)), `${path}: ${theirs}`);
    }
  });

  it('agrees on random values, leaving aside what only the second look can find', () => {
    const leaves = fc.constantFrom<unknown>(
      ...['keel/v1', 'eth0', '192.0.2.1/24', '192.0.2.1', 'a.example', 'every-boot', '', 'a b'],
      ...[null, true, 5, [], {}],
    );
    const keys = fc.constantFrom(
      ...['apiVersion', 'hostname', 'network', 'interfaces', 'name', 'addresses', 'gateways'],
      ...['nameservers', 'time', 'servers', 'enrolment', 'consoleToken', 'other', 'probes', 'tcp'],
      ...['timeoutSeconds', 'update', 'noProxy', 'health', 'networkTarget'],
    );
    const values = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'medium' },
        leaves,
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(keys, tie('value'), { maxKeys: 4 }),
      ),
    })).value;
    const nearly = fc.tuple(documents(), keys, values).map(([document, key, value]) => ({
      ...document,
      [key]: value,
    }));
    fc.assert(
      fc.property(fc.oneof(values, nearly), (document) => {
        const parsing = parseNodeConfig(JSON.stringify(document));
        const schemaAccepts = accepts(document);
        if (parsing.ok) assert(schemaAccepts, JSON.stringify(accepts.errors));
        // Everything refused by the schema alone is refused here too.
        if (!schemaAccepts) assert(!parsing.ok);
      }),
      { numRuns: 1_000 },
    );
  });
});

/** A small document with `value` at `path`. */
function place(path: string, value: unknown): unknown {
  if (path === '') return value;
  const document = {
    apiVersion: 'keel/v1',
    network: {
      interfaces: [{ name: 'a', addresses: ['10.0.0.1/8'], gateways: ['10.0.0.2'] }],
      nameservers: [],
    },
    time: { servers: [] },
    enrolment: {},
    probes: [{ name: 'a', tcp: 'h:1' }],
    update: {},
    health: {},
  };
  const steps = path.replaceAll('[', '.').replaceAll(']', '').split('.');
  const last = steps.pop() ?? '';
  let at: unknown = document;
  for (const step of steps) at = Reflect.get(at as object, step);
  Reflect.set(at as object, last, value);
  return document;
}
