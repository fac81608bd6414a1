/** The part of the node configuration's schema that is about what lies around the node: probes, sources, the network's far end. */
import * as Type from 'typebox';

/** Most probes. */
export const PROBES_MAX = 32;
/** Most exceptions from the proxy. */
export const NO_PROXY_MAX = 64;
/** Largest list of certificate authorities, in characters. */
export const CA_PEM_CHARS_MAX = 65_536;
/** Longest time-out and period of a probe, in seconds. */
export const PROBE_SECONDS_MAX = 3_600;
/** Time for one probe, when it names none. */
export const PROBE_TIMEOUT_SECONDS = 5;
/** From one start of a probe to the next, when it names none. */
export const PROBE_PERIOD_SECONDS = 10;

const CA_PEM = {
  title: 'certificates in PEM, at most 65536 characters',
  minLength: 1,
  maxLength: CA_PEM_CHARS_MAX,
  pattern: '-----BEGIN CERTIFICATE-----',
};

const PROBE = Type.Object(
  {
    name: Type.String({
      title: 'a name of lower-case letters, digits and dashes, 32 characters in all',
      description: 'Name of the probe; its health check is `probe/` with this name.',
      minLength: 1,
      maxLength: 32,
      pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$',
      examples: ['ingress'],
    }),
    tcp: Type.Optional(
      Type.String({
        title: 'host:port',
        description: 'Passes when a connection is made.',
        minLength: 3,
        maxLength: 320,
        examples: ['192.0.2.10:443', '[2001:db8::10]:443'],
      }),
    ),
    http: Type.Optional(
      Type.String({
        title: 'a URL of http or https, without credentials',
        description:
          'Passes when GET is answered with a status from 200 to 399. Redirects are not followed.',
        minLength: 8,
        maxLength: 2048,
        examples: ['https://web.example.org/healthz'],
      }),
    ),
    grpc: Type.Optional(
      Type.String({
        title: 'grpc://host:port or grpcs://host:port, and perhaps /service',
        description:
          'Passes when `Check` of grpc.health.v1 answers SERVING. `grpc` is HTTP/2 in the clear, `grpcs` is with TLS.',
        minLength: 9,
        maxLength: 640,
        examples: ['grpc://127.0.0.1:9000', 'grpcs://store.example.org:443/shop.v1.Store'],
      }),
    ),
    caPem: Type.Optional(
      Type.String({
        ...CA_PEM,
        description:
          'Certificate authorities for https and grpcs. Without it: those that Node.js brings along.',
      }),
    ),
    serverName: Type.Optional(
      Type.String({
        title: 'a host name',
        description: 'Name that the certificate must have. Without it: the host of the address.',
        minLength: 1,
        maxLength: 253,
        examples: ['store.example.org'],
      }),
    ),
    timeoutSeconds: Type.Integer({
      title: 'a number of seconds from 1 to 3600',
      description: 'The probe fails when it has not passed by then.',
      minimum: 1,
      maximum: PROBE_SECONDS_MAX,
      default: PROBE_TIMEOUT_SECONDS,
    }),
    periodSeconds: Type.Integer({
      title: 'a number of seconds from 1 to 3600',
      description: 'From one start of the probe to the next; a run that takes longer delays it.',
      minimum: 1,
      maximum: PROBE_SECONDS_MAX,
      default: PROBE_PERIOD_SECONDS,
    }),
  },
  { title: 'a mapping with the settings of a probe', additionalProperties: false },
);

/** `probes`. */
export const PROBES_SCHEMA = Type.Array(PROBE, {
  title: 'a list of at most 32 probes',
  description:
    'What else must work for this node to count as healthy, and for an update to be committed: each probe is a health check.',
  maxItems: PROBES_MAX,
  default: [],
});

/** `update`. */
export const UPDATE_SCHEMA = Type.Object(
  {
    proxy: Type.Optional(
      Type.String({
        title: 'http://host:port, and perhaps user:password@ before the host',
        description:
          'Proxy through which the node fetches bundles; https goes through a tunnel (CONNECT). Credentials in it can be read by whoever may read the configuration.',
        minLength: 8,
        maxLength: 1024,
        examples: ['http://web-proxy.example.org:3128'],
      }),
    ),
    noProxy: Type.Array(
      Type.String({
        title: 'a host name, an IP address, or a network such as 192.0.2.0/24',
        description:
          'Servers that are reached without the proxy; a name covers all names below it.',
        minLength: 1,
        maxLength: 253,
        examples: ['example.org', '192.0.2.0/24'],
      }),
      {
        title: 'a list of at most 64 servers',
        description: 'Exceptions from the proxy.',
        maxItems: NO_PROXY_MAX,
        default: [],
      },
    ),
    caPem: Type.Optional(
      Type.String({
        ...CA_PEM,
        description:
          'Certificate authorities of the servers with bundles, when a request names none. Without it: those that Node.js brings along.',
      }),
    ),
  },
  {
    title: 'a mapping with the settings of updates',
    description: 'How the node gets at bundles.',
    additionalProperties: false,
    default: {},
  },
);

/** `health`. */
export const HEALTH_SCHEMA = Type.Object(
  {
    networkTarget: Type.Optional(
      Type.String({
        title: 'host:port',
        description:
          'Service to which a TCP connection must be possible for the check `reach` to pass. Without it: the default gateway must answer on its network.',
        minLength: 3,
        maxLength: 320,
        examples: ['192.0.2.1:443'],
      }),
    ),
  },
  {
    title: 'a mapping with the settings of health',
    description: 'What the node measures its health by.',
    additionalProperties: false,
    default: {},
  },
);
