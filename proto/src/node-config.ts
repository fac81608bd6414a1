/**
 * The node configuration: one YAML document, checked as a whole (docs/reference/node-config.md).
 *
 * {@link parseNodeConfig} is the only way from text to a {@link NodeConfig}; PID 1 reads the checked value from
 * its record without a YAML parser.
 */
import type { ConfigProblem } from './config-problem.ts';
import { PROBLEMS_MAX } from './config-problem.ts';
import { documentSchema, NODE_CONFIG_NODE } from './node-config-schema.ts';
import { checkSemantics } from './node-config-semantics.ts';
import { checkSchema } from './schema-check.ts';
import type { NodeConfig } from './stored-config.ts';
import { readYamlDocument } from './yaml-document.ts';

export type { ConfigProblem } from './config-problem.ts';
export type { ChangeEffect, NodeConfigChange } from './node-config-diff.ts';
export { diffNodeConfig } from './node-config-diff.ts';
export type { NodeConfig } from './stored-config.ts';
export { DEFAULT_NODE_CONFIG } from './stored-config.ts';

/** What came out of a document: the checked value, or every reason why there is none. */
export type NodeConfigParsing =
  | { readonly ok: true; readonly config: NodeConfig }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/**
 * Reads and checks a document, and fills every default in.
 *
 * Never throws for any text. Problems come in the order of the document, at most {@link PROBLEMS_MAX}. When the text
 * is not the plain YAML that is accepted here, only that is reported: what it would have meant is not known.
 */
export function parseNodeConfig(yaml: string): NodeConfigParsing {
  const reading = readYamlDocument(yaml);
  const { document } = reading;
  if (document === undefined) return { ok: false, problems: reading.problems };
  const checked = checkSchema(NODE_CONFIG_NODE, document.value);
  const semantic = checkSemantics(document.value);
  // Where both find fault with one value, the semantic check says more.
  const said = new Set(semantic.map(({ path }) => JSON.stringify(path)));
  const formal = checked.problems.filter(({ path }) => !said.has(JSON.stringify(path)));
  const found = [...formal, ...semantic].map(document.locate);
  const problems = [...reading.problems, ...found].sort(
    (a, b) => a.line - b.line || a.column - b.column,
  );
  if (problems.length > 0) return { ok: false, problems: problems.slice(0, PROBLEMS_MAX) };
  return { ok: true, config: checked.value as NodeConfig };
}

/** The document of a node that was given none. */
export const DEFAULT_NODE_CONFIG_YAML = `# Configuration of a KeelOS node: every setting with its default.
apiVersion: keel/v1
# hostname: node-1            # default: keel- and 8 digits of the machine id
network:
  interfaces: []              # empty: the address that the kernel gets by DHCP
  nameservers: []             # empty: those that DHCP names
time:
  servers: []                 # empty: the real-time clock alone
enrolment:
  consoleToken: every-boot    # or until-enrolled
probes: []                    # what else must work for the node to be healthy
update:
  # proxy: http://proxy:3128  # default: straight to the server
  noProxy: []                 # servers that are reached without the proxy
health: {}                    # networkTarget: host:port; default: the gateway
`;

/** A JSON Schema (draft 2020-12), as a fresh plain object. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/**
 * JSON Schema of the document, for editors. It accepts every document that {@link parseNodeConfig} accepts; the checks
 * that a schema cannot express (gateways inside their networks, names used twice) come on top of it.
 */
export function nodeConfigJsonSchema(): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:keelos:node-config:v1',
    ...documentSchema(NODE_CONFIG_NODE),
    title: 'KeelOS node configuration',
  };
}
