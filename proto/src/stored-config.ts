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
