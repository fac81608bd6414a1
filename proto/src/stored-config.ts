/**
 * The node configuration as it is stored: what the operator wrote, and the checked value that PID 1 reads without a
 * YAML parser.
 */
import type { RecordKind } from './state-record.ts';

/** Record kind of a stored configuration. */
export const STORED_CONFIG: RecordKind = { kind: 'node-config', version: 1 };

/** Largest document, in bytes of UTF-8. */
export const DOCUMENT_BYTES_MAX = 262_144;

/** One interface. */
export interface InterfaceConfig {
  /** Interface name, for example "eth0". */
  readonly name: string;
  /** Addresses with prefix length, IPv4 or IPv6. */
  readonly addresses: readonly string[];
  /** Default gateways, at most one for each address family. */
  readonly gateways: readonly string[];
}

/** Something that must work for the node to count as healthy: exactly one of `tcp`, `http` and `grpc` is there. */
export interface ProbeConfig {
  readonly name: string;
  /** "host:port" */
  readonly tcp?: string;
  /** URL of http or https. */
  readonly http?: string;
  /** "grpc://host:port/service" or "grpcs://…" */
  readonly grpc?: string;
  /** Certificate authorities, PEM. */
  readonly caPem?: string;
  /** Name that the certificate must have. */
  readonly serverName?: string;
  readonly timeoutSeconds: number;
  readonly periodSeconds: number;
}

/** The checked value, every default filled in. */
export interface NodeConfig {
  readonly apiVersion: 'keel/v1';
  /** Absent: "keel-" and the first 8 digits of the machine id. */
  readonly hostname?: string;
  readonly network: {
    /** Static interfaces. Empty: the address that the kernel got by DHCP. */
    readonly interfaces: readonly InterfaceConfig[];
    /** DNS servers. Empty: those from DHCP. */
    readonly nameservers: readonly string[];
  };
  readonly time: {
    /** SNTP servers, asked in order. Empty: the real-time clock alone. */
    readonly servers: readonly string[];
  };
  readonly enrolment: {
    /** When a new one-time token is printed on the console. */
    readonly consoleToken: 'every-boot' | 'until-enrolled';
  };
  readonly probes: readonly ProbeConfig[];
  readonly update: {
    /** "http://[user:password@]host:port"; absent: straight to the server. */
    readonly proxy?: string;
    /** Host names, addresses and networks that are reached without the proxy. */
    readonly noProxy: readonly string[];
    /** Certificate authorities of servers with bundles, PEM; absent: those of Node.js. */
    readonly caPem?: string;
  };
  readonly health: {
    /** "host:port" that must take a connection; absent: the default gateway must answer. */
    readonly networkTarget?: string;
  };
}

/** What a node without any configuration runs with. */
export const DEFAULT_NODE_CONFIG: NodeConfig = {
  apiVersion: 'keel/v1',
  network: { interfaces: [], nameservers: [] },
  time: { servers: [] },
  enrolment: { consoleToken: 'every-boot' },
  probes: [],
  update: { noProxy: [] },
  health: {},
};

/** A stored value with the defaults of what the release that stored it did not know yet. */
export function completedConfig(stored: Partial<NodeConfig>): NodeConfig {
  return { ...DEFAULT_NODE_CONFIG, ...stored };
}

/** Payload of {@link STORED_CONFIG}. */
export interface StoredConfig {
  readonly revision: number;
  readonly timeMs: number;
  readonly subject: string;
  readonly fingerprint: string;
  readonly yaml: string;
  readonly config: NodeConfig;
}
