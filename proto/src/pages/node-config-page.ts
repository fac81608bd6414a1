/** docs/reference/node-config.md and its JSON Schema from the schema of the node configuration. */
import { PROBLEMS_MAX } from '../config-problem.ts';
import { DEFAULT_NODE_CONFIG_YAML, nodeConfigJsonSchema } from '../node-config.ts';
import { CONFIG_EFFECTS, effectOf } from '../node-config-diff.ts';
import type { SchemaNode } from '../node-config-schema.ts';
import { NODE_CONFIG_NODE } from '../node-config-schema.ts';
import { DOCUMENT_BYTES_MAX } from '../stored-config.ts';
import { YAML_DEPTH_MAX, YAML_PIECES_MAX } from '../yaml-document.ts';
import { fence, pageHead, table } from './markdown.ts';

const EFFECT_WORDS = { immediate: 'at once', reboot: 'after a reboot' } as const;

/** The page. `example` is the document with every setting, proto/examples/node.yaml. */
export function nodeConfigPage(example: string): string {
  const count = (value: number) => value.toLocaleString('en-US');
  return [
    ...pageHead('Node configuration', 'proto/src/node-config-schema.ts'),
    'A node is configured by one YAML document. `osctl apply -f node.yaml` replaces it as a whole, `osctl diff -f node.yaml`',
    'shows what would change, `osctl validate -f node.yaml` checks a document without a node, and `osctl get config` prints',
    'the one in force and its history. The node keeps the last ten.',
    '',
    '## Everything in one example',
    '',
    ...fence('yaml', example),
    'Without any document, a node runs as if it had been given this one:',
    '',
    ...fence('yaml', DEFAULT_NODE_CONFIG_YAML),
    '## Settings',
    '',
    ...table(
      ['Setting', 'Expected', 'Default', 'In force', 'Meaning'],
      settingRows(NODE_CONFIG_NODE, '', true),
    ),
    'Interfaces and probes are told apart by their name: their order means nothing.',
    '',
    '## When a change is in force',
    '',
    ...table(
      ['Settings', 'In force'],
      CONFIG_EFFECTS.map(({ setting, effect }) => [`\`${setting}\``, EFFECT_WORDS[effect]]),
    ),
    '`osctl apply --dry-run` and `osctl diff` say for each change which it is; `osctl get config -o json | jq .rebootRequired`',
    'says whether a stored one waits for a reboot.',
    '',
    '## What is checked',
    '',
    `All problems of a document are reported together, at most ${PROBLEMS_MAX}, each with line, column, what was found, what was`,
    'expected and, where one is near, what was probably meant. Unknown settings are refused, so a spelling mistake is never',
    'a setting that silently does nothing. Beyond the table:',
    '',
    '* An address is one that a host can have: not loopback, multicast, the network itself or its broadcast address.',
    '* No address, interface, server or probe is there twice, however it is written.',
    "* A gateway is another machine in one of its interface's networks, or link-local for IPv6; one for each address family.",
    '* A host name does not look like an address: its last label is not a number.',
    '* The interface names `lo`, `all` and `default` are reserved.',
    '* A probe has exactly one of `tcp`, `http` and `grpc`; `caPem` and `serverName` only where there is TLS.',
    '* Every certificate in a `caPem` can be read.',
    '',
    'The document is plain YAML 1.2: mappings, lists and values. Anchors, aliases, tags, directives and a second document are',
    `refused. Limits: ${count(DOCUMENT_BYTES_MAX)} bytes, ${YAML_DEPTH_MAX} levels, ${count(YAML_PIECES_MAX)} names, values, comments, signs and line ends.`,
    '',
    '## In an editor',
    '',
    'The JSON Schema [node-config.schema.json](node-config.schema.json) (draft 2020-12) gives completion and checks while',
    'writing. With the YAML language server, put this into the first line:',
    '',
    ...fence('yaml', '# yaml-language-server: $schema=./docs/reference/node-config.schema.json'),
  ].join('\n');
}

/** The JSON Schema as a file. */
export function nodeConfigSchemaFile(): string {
  return `${JSON.stringify(nodeConfigJsonSchema(), null, 2)}\n`;
}

function settingRows(schema: SchemaNode, path: string, isRequired: boolean): string[][] {
  const { properties = {}, required = [], items } = schema;
  const own =
    path === ''
      ? []
      : [
          [
            `\`${path}\``,
            schema.title ?? '',
            defaultText(schema, isRequired),
            whenText(schema, path),
            meaning(schema),
          ],
        ];
  const children = Object.entries(properties).flatMap(([name, child]) =>
    settingRows(child, path === '' ? name : `${path}.${name}`, required.includes(name)),
  );
  const element = items === undefined ? [] : elementRows(items, `${path}[]`);
  return [...own, ...children, ...element];
}

/** An element of a list has a row only when it is not a mapping: then its settings have. */
function elementRows(items: SchemaNode, path: string): string[][] {
  return settingRows(items, path, false).filter(
    ([name]) => name !== `\`${path}\`` || items.type === 'string',
  );
}

function defaultText(schema: SchemaNode, isRequired: boolean): string {
  if (schema.default === undefined) return isRequired ? 'required' : '';
  return `\`${typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default)}\``;
}

function whenText(schema: SchemaNode, path: string): string {
  return schema.properties === undefined ? EFFECT_WORDS[effectOf(path)] : '';
}

function meaning(schema: SchemaNode): string {
  const examples = schema.examples?.map((example) => `\`${example}\``).join(', ');
  return `${schema.description ?? ''}${examples === undefined ? '' : ` For example ${examples}.`}`;
}
