/** What a schema cannot say about a node configuration: whether its names and addresses make sense together. */
import { isIP } from 'node:net';
import type { ConfigPath, PathProblem } from './config-problem.ts';
import { quoted } from './config-problem.ts';
import type { IpAddress, IpInterface } from './ip-network.ts';
import { addressBits, isInNetwork, parseIp, parseIpInterface, scopeOf } from './ip-network.ts';
import { checkHealth, checkProbes, checkUpdate } from './node-config-outside.ts';

/**
 * Problems of `value`, which may itself be incomplete or of the wrong shape: what does not fit the schema is passed
 * over, as its problem is known already.
 */
export function checkSemantics(value: unknown): PathProblem[] {
  const network = memberOf(value, 'network');
  return [
    ...checkHostname(memberOf(value, 'hostname')),
    ...checkInterfaces(memberOf(network, 'interfaces')),
    ...checkNameservers(memberOf(network, 'nameservers')),
    ...checkTimeServers(memberOf(memberOf(value, 'time'), 'servers')),
    ...checkProbes(memberOf(value, 'probes')),
    ...checkUpdate(memberOf(value, 'update')),
    ...checkHealth(memberOf(value, 'health')),
  ];
}

function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[key];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The texts of a list with their paths. */
function textsOf(value: unknown, path: ConfigPath): { text: string; path: ConfigPath }[] {
  return listOf(value).flatMap((text, index) =>
    typeof text === 'string' ? [{ text, path: [...path, index] }] : [],
  );
}

/** A host name whose last label is a number would be read as an address by other programs. */
function looksLikeAddress(name: string): boolean {
  return isIP(name) !== 0 || /(^|\.)[0-9]+$/.test(name);
}

function checkHostname(value: unknown): PathProblem[] {
  if (typeof value !== 'string' || !looksLikeAddress(value)) return [];
  return [
    {
      path: ['hostname'],
      message: `${quoted(value)} could be taken for an address`,
      expected: 'a host name whose last label is not a number',
    },
  ];
}

/** Names with a meaning of their own: the loopback interface, and directories of /proc/sys/net/ipv4/conf. */
const RESERVED_INTERFACE_NAMES: readonly string[] = ['lo', 'all', 'default', '.', '..'];

interface Seen {
  readonly names: Map<string, number>;
  readonly addresses: Map<string, string>;
  readonly gateways: Map<4 | 6, string>;
}

function checkInterfaces(value: unknown): PathProblem[] {
  const seen: Seen = { names: new Map(), addresses: new Map(), gateways: new Map() };
  return listOf(value).flatMap((item, index) => {
    const path: ConfigPath = ['network', 'interfaces', index];
    const addresses = checkAddresses(memberOf(item, 'addresses'), [...path, 'addresses'], seen);
    const gateways = textsOf(memberOf(item, 'gateways'), [...path, 'gateways']);
    return [
      ...checkInterfaceName(memberOf(item, 'name'), { path: [...path, 'name'], index, seen }),
      ...addresses.problems,
      ...gateways.flatMap((gateway) => checkGateway(gateway, addresses, seen)),
    ];
  });
}

function checkInterfaceName(
  name: unknown,
  place: { readonly path: ConfigPath; readonly index: number; readonly seen: Seen },
): PathProblem[] {
  if (typeof name !== 'string') return [];
  const { path, index, seen } = place;
  if (RESERVED_INTERFACE_NAMES.includes(name)) {
    return [
      {
        path,
        message: `the name ${quoted(name)} is reserved`,
        expected: 'the name of a network interface, for example eth0',
      },
    ];
  }
  const first = seen.names.get(name);
  if (first === undefined) {
    seen.names.set(name, index);
    return [];
  }
  return [
    {
      path,
      message: `the interface ${quoted(name)} is there already, as network.interfaces[${first}]`,
      expected: 'each interface once',
    },
  ];
}

interface Addresses {
  readonly networks: readonly IpInterface[];
  /** False when some address could not be read, so that its network is not known. */
  readonly isComplete: boolean;
}

function checkAddresses(
  value: unknown,
  path: ConfigPath,
  seen: Seen,
): Addresses & { readonly problems: readonly PathProblem[] } {
  const networks: IpInterface[] = [];
  let isComplete = Array.isArray(value);
  const problems: PathProblem[] = [];
  for (const { text, path: at } of textsOf(value, path)) {
    const address = parseIpInterface(text);
    if (address === undefined) {
      problems.push(notAnAddress(text, at));
      isComplete = false;
      continue;
    }
    networks.push(address);
    const reason = unusableAsOwn(address);
    const key = `${address.family}:${address.bits}`;
    const first = seen.addresses.get(key);
    seen.addresses.set(key, text);
    if (reason !== undefined) {
      problems.push({
        path: at,
        message: `${quoted(text)} ${reason}`,
        expected: 'an address that an interface can have, with the prefix length of its network',
      });
    } else if (first !== undefined) {
      problems.push({
        path: at,
        message: `the address ${quoted(text)} is there already`,
        expected: 'each address once',
      });
    }
  }
  return { networks, isComplete, problems };
}

function notAnAddress(text: string, path: ConfigPath): PathProblem {
  const withoutPrefix = parseIp(text);
  const suggestion =
    withoutPrefix === undefined
      ? {}
      : { suggestion: `${text}/${withoutPrefix.family === 4 ? 24 : 64}` };
  return {
    path,
    message: `${quoted(text)} is not an address with prefix length`,
    expected: 'an IPv4 or IPv6 address, a slash, and 1 to 32 or 1 to 128',
    ...suggestion,
  };
}

function unusableAsOwn(address: IpInterface): string | undefined {
  const scope = scopeOf(address);
  if (scope !== 'unicast' && scope !== 'link-local') return `is not usable: it is ${scope}`;
  if (address.prefixLength === 0) return 'has the prefix length 0: it would cover every address';
  const hostBits = BigInt(addressBits(address.family) - address.prefixLength);
  // RFC 3021 and RFC 6164: networks of two addresses use both of them.
  if (hostBits < 2n) return undefined;
  const host = address.bits & ((1n << hostBits) - 1n);
  if (host === 0n) return 'is the address of the network itself, not of a host in it';
  if (address.family === 4 && host === (1n << hostBits) - 1n) {
    return 'is the broadcast address of its network';
  }
  return undefined;
}

function checkGateway(
  gateway: { readonly text: string; readonly path: ConfigPath },
  { networks, isComplete }: Addresses,
  seen: Seen,
): PathProblem[] {
  const { text, path } = gateway;
  const address = parseIp(text);
  if (address === undefined) return [notAnIp(text, path)];
  const first = seen.gateways.get(address.family);
  if (first !== undefined) {
    return [
      {
        path,
        message: `${quoted(text)} is a second IPv${address.family} gateway, after ${quoted(first)}`,
        expected: 'at most one default gateway for each address family',
      },
    ];
  }
  seen.gateways.set(address.family, text);
  const isLinkLocal6 = address.family === 6 && scopeOf(address) === 'link-local';
  const isNear =
    !isComplete || isLinkLocal6 || networks.some((network) => isInNetwork(address, network));
  const isOwn = networks.some(
    ({ family, bits }) => family === address.family && bits === address.bits,
  );
  if (isNear && !isOwn) return [];
  return [
    {
      path,
      message: isOwn
        ? `the gateway ${quoted(text)} is an address of the interface itself`
        : `the gateway ${quoted(text)} is in none of the networks of the interface`,
      expected:
        'the address of another machine in a network of this interface, or link-local (IPv6)',
    },
  ];
}

function notAnIp(text: string, path: ConfigPath): PathProblem {
  const withPrefix = parseIpInterface(text);
  return {
    path,
    message: `${quoted(text)} is not an IP address`,
    expected: 'an IPv4 or IPv6 address without prefix length or zone',
    ...(withPrefix === undefined ? {} : { suggestion: text.slice(0, text.indexOf('/')) }),
  };
}

function checkNameservers(value: unknown): PathProblem[] {
  const seen = new Set<string>();
  return textsOf(value, ['network', 'nameservers']).flatMap(({ text, path }) => {
    const address = parseIp(text);
    return address === undefined
      ? [notAnIp(text, path)]
      : checkServer(text, path, { address, seen });
  });
}

function checkTimeServers(value: unknown): PathProblem[] {
  const seen = new Set<string>();
  return textsOf(value, ['time', 'servers']).flatMap(({ text, path }) => {
    const address = parseIp(text);
    if (address !== undefined || !looksLikeAddress(text)) {
      return checkServer(text, path, { ...(address === undefined ? {} : { address }), seen });
    }
    return [notAnIp(text, path)];
  });
}

function checkServer(
  text: string,
  path: ConfigPath,
  facts: { readonly address?: IpAddress; readonly seen: Set<string> },
): PathProblem[] {
  const { address, seen } = facts;
  const key = address === undefined ? text.toLowerCase() : `${address.family}:${address.bits}`;
  if (seen.has(key)) {
    return [{ path, message: `${quoted(text)} is there already`, expected: 'each server once' }];
  }
  seen.add(key);
  const scope = address === undefined ? 'unicast' : scopeOf(address);
  if (scope !== 'unspecified' && scope !== 'multicast' && scope !== 'broadcast') return [];
  return [
    {
      path,
      message: `${quoted(text)} is not the address of a server: it is ${scope}`,
      expected: 'the address of a server',
    },
  ];
}
