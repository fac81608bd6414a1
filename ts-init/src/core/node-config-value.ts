/**
 * The stored configuration as PID 1 reads it. The agent checked it when it was applied; here only shapes are checked,
 * so that no record can make PID 1 fail.
 */
import type { InterfaceConfig, NodeConfig } from '@keelos/proto/stored-config.ts';
import { isHostname } from './hostname.ts';

/** The part that PID 1 acts upon. */
export type InitConfig = Pick<NodeConfig, 'hostname' | 'network'>;

/** A node without a configuration: address by DHCP, host name from the machine id. */
export const DEFAULT_CONFIG: InitConfig = { network: { interfaces: [], nameservers: [] } };

/** What the agent calls the records of its history: the revision with leading zeros. */
const REVISION_NAME = /^\d{8}\.rec$/;
/** The agent keeps 10, and some more when it was interrupted. */
const REVISIONS_MAX = 20;

/** The names of revisions among the names in the folder of the history, newest first. */
export function revisionNames(names: readonly string[]): readonly string[] {
  return names
    .filter((name) => REVISION_NAME.test(name))
    .sort()
    .reverse()
    .slice(0, REVISIONS_MAX);
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isInterface(value: unknown): value is InterfaceConfig {
  return (
    isFields(value) &&
    typeof value.name === 'string' &&
    /^[^\s/]{1,15}$/.test(value.name) &&
    isTexts(value.addresses) &&
    isTexts(value.gateways)
  );
}

/**
 * The configuration in the payload of a stored record.
 *
 * @throws RangeError naming the field that has not the expected shape.
 */
export function readStoredConfig(payload: unknown): InitConfig {
  const config = isFields(payload) ? payload.config : undefined;
  if (!isFields(config)) throw new RangeError('config is not an object');
  const { hostname, network } = config;
  if (!isFields(network)) throw new RangeError('config.network is not an object');
  const { interfaces, nameservers } = network;
  if (!Array.isArray(interfaces) || !interfaces.every(isInterface)) {
    throw new RangeError('config.network.interfaces is not a list of interfaces');
  }
  if (!isTexts(nameservers)) throw new RangeError('config.network.nameservers is not a list');
  if (hostname === undefined) return { network: { interfaces, nameservers } };
  if (typeof hostname !== 'string' || !isHostname(hostname)) {
    throw new RangeError('config.hostname is not a host name');
  }
  return { hostname, network: { interfaces, nameservers } };
}
