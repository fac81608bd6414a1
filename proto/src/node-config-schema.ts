/**
 * The schema of the node configuration: the one source of its type, its checks, its JSON Schema and its page in
 * docs/reference. `title` says what is expected, in the words of an error message; a `default` makes a setting optional.
 */
import * as Type from 'typebox';
import { HEALTH_SCHEMA, PROBES_SCHEMA, UPDATE_SCHEMA } from './node-config-outside-schema.ts';
import type { NodeConfig } from './stored-config.ts';

/** Most static interfaces. */
export const INTERFACES_MAX = 16;
/** Most addresses of one interface. */
export const ADDRESSES_MAX = 16;
/** Most DNS servers: as many as resolv.conf(5) may name. */
export const NAMESERVERS_MAX = 3;
/** Most time servers. */
export const TIME_SERVERS_MAX = 8;

const HOST_LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
/** Labels of letters, digits and dashes (RFC 1123 section 2.1). */
const HOST_NAME_PATTERN = `^${HOST_LABEL}(\\.${HOST_LABEL})*$`;
const IP_PATTERN = '^[0-9A-Fa-f:.]+$';

/** Schema of the checked value, every default filled in. */
export const NODE_CONFIG_SCHEMA = Type.Object(
  {
    apiVersion: Type.Literal('keel/v1', {
      title: 'the version of this schema, keel/v1',
      description: 'Version of the schema that the document is written for.',
    }),
    hostname: Type.Optional(
      Type.String({
        title: 'a host name (RFC 1123): labels of letters, digits and dashes, 64 characters in all',
        description:
          'Host name of the node. Without it: `keel-` and the first 8 digits of the machine id.',
        minLength: 1,
        maxLength: 64,
        pattern: HOST_NAME_PATTERN,
        examples: ['node-1', 'node-1.example.org'],
      }),
    ),
    network: Type.Object(
      {
        interfaces: Type.Array(
          Type.Object(
            {
              name: Type.String({
                title:
                  'the name of an interface: letters, digits and . _ - @ +, 15 characters in all',
                description: 'Name of the interface. `lo` is set up by the node itself.',
                minLength: 1,
                maxLength: 15,
                pattern: '^[A-Za-z0-9._@+-]+$',
                examples: ['eth0'],
              }),
              addresses: Type.Array(
                Type.String({
                  title: 'an IP address with prefix length, for example 192.0.2.10/24',
                  description: 'IPv4 or IPv6 address with the prefix length of its network.',
                  minLength: 1,
                  maxLength: 64,
                  pattern: '^[0-9A-Fa-f:.]+/[0-9]{1,3}$',
                  examples: ['192.0.2.10/24', '2001:db8::10/64'],
                }),
                {
                  title: 'a list of 1 to 16 addresses',
                  description: 'Addresses of the interface.',
                  minItems: 1,
                  maxItems: ADDRESSES_MAX,
                },
              ),
              gateways: Type.Array(
                Type.String({
                  title: 'an IP address, for example 192.0.2.1',
                  description:
                    "Address of a default gateway, inside one of the interface's networks or link-local (IPv6).",
                  minLength: 1,
                  maxLength: 45,
                  pattern: IP_PATTERN,
                  examples: ['192.0.2.1', 'fe80::1'],
                }),
                {
                  title: 'a list of at most 2 gateways, one for each address family',
                  description:
                    'Default gateways: at most one for IPv4 and one for IPv6 in the whole document.',
                  maxItems: 2,
                  default: [],
                },
              ),
            },
            { title: 'a mapping with the settings of an interface', additionalProperties: false },
          ),
          {
            title: 'a list of at most 16 interfaces',
            description:
              'Interfaces with fixed addresses. Empty: the address that the kernel gets by DHCP.',
            maxItems: INTERFACES_MAX,
            default: [],
          },
        ),
        nameservers: Type.Array(
          Type.String({
            title: 'an IP address, for example 192.0.2.53',
            description: 'Address of a DNS server.',
            minLength: 1,
            maxLength: 45,
            pattern: IP_PATTERN,
            examples: ['192.0.2.53'],
          }),
          {
            title: 'a list of at most 3 DNS servers',
            description: 'DNS servers, asked in this order. Empty: those that DHCP names.',
            maxItems: NAMESERVERS_MAX,
            default: [],
          },
        ),
      },
      {
        title: 'a mapping with the settings of the network',
        description: 'Addresses and name resolution.',
        additionalProperties: false,
        default: {},
      },
    ),
    time: Type.Object(
      {
        servers: Type.Array(
          Type.String({
            title: 'a host name or an IP address',
            description: 'Host name or address of an SNTP server.',
            minLength: 1,
            maxLength: 253,
            pattern: `(${HOST_NAME_PATTERN})|(${IP_PATTERN})`,
            examples: ['time.example.org', '192.0.2.123'],
          }),
          {
            title: 'a list of at most 8 time servers',
            description: 'SNTP servers, asked in this order. Empty: the real-time clock alone.',
            maxItems: TIME_SERVERS_MAX,
            default: [],
          },
        ),
      },
      {
        title: 'a mapping with the settings of the clock',
        description: 'The clock.',
        additionalProperties: false,
        default: {},
      },
    ),
    enrolment: Type.Object(
      {
        consoleToken: Type.Enum(['every-boot', 'until-enrolled'], {
          title: 'every-boot or until-enrolled',
          description:
            'When a new one-time enrolment token is printed on the console. `every-boot`: at each boot, so that ' +
            'whoever can restart the machine and read its console can enrol. `until-enrolled`: only as long as no ' +
            'operator is enrolled; when the last certificate has expired, the way back is to erase the state partition.',
          default: 'every-boot',
        }),
      },
      {
        title: 'a mapping with the settings of enrolment',
        description: 'How operators become known to the node.',
        additionalProperties: false,
        default: {},
      },
    ),
    probes: PROBES_SCHEMA,
    update: UPDATE_SCHEMA,
    health: HEALTH_SCHEMA,
  },
  { title: 'a mapping with the settings of a node', additionalProperties: false },
);

// The type that the node's processes share must be what the schema says, in both directions.
type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const SCHEMA_IS_NODE_CONFIG: Same<
  DeepReadonly<Type.Static<typeof NODE_CONFIG_SCHEMA>>,
  DeepReadonly<NodeConfig>
> = true;
void SCHEMA_IS_NODE_CONFIG;

/** The part of JSON Schema that is used here. */
export interface SchemaNode {
  readonly type?: 'object' | 'array' | 'string' | 'integer';
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: SchemaNode;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly const?: string;
}

/** {@link NODE_CONFIG_SCHEMA} as data to walk over. */
export const NODE_CONFIG_NODE: SchemaNode = NODE_CONFIG_SCHEMA as unknown as SchemaNode;

/** The schema of what an operator writes: as `node`, with everything optional that has a default. */
export function documentSchema(node: SchemaNode): SchemaNode {
  const { properties, items, required, ...rest } = node;
  const copy: SchemaNode = JSON.parse(JSON.stringify(rest));
  const needed = required?.filter((name) => properties?.[name]?.default === undefined) ?? [];
  return {
    ...copy,
    ...(items === undefined ? {} : { items: documentSchema(items) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, child]) => [name, documentSchema(child)]),
          ),
        }),
    ...(needed.length === 0 ? {} : { required: needed }),
  };
}
