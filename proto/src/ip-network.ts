/** IP addresses and networks as numbers, strict about how they are written (RFC 4291 section 2.2, RFC 4632). */
import { isIPv4, isIPv6 } from 'node:net';

/** An address as a number of 32 or 128 bits. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bits: bigint;
}

/** An address with the length of its network's prefix. */
export interface IpInterface extends IpAddress {
  /** 0 to 32 or 0 to 128. */
  readonly prefixLength: number;
}

/** Length of an address of a family, in bits. */
export function addressBits(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

/** Reads an address; undefined when it is none. Zone indexes ("%eth0") are not accepted. */
export function parseIp(text: string): IpAddress | undefined {
  if (isIPv4(text)) return { family: 4, bits: bitsOfIpv4(text) };
  if (!text.includes('%') && isIPv6(text)) return { family: 6, bits: bitsOfIpv6(text) };
  return undefined;
}

/** Reads "address/prefix length"; undefined when it is none. */
export function parseIpInterface(text: string): IpInterface | undefined {
  const slash = text.indexOf('/');
  if (slash === -1) return undefined;
  const address = parseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(length)) return undefined;
  const prefixLength = Number(length);
  if (prefixLength > addressBits(address.family)) return undefined;
  return { ...address, prefixLength };
}

/** True when `address` is in the network of `network`. */
export function isInNetwork(address: IpAddress, network: IpInterface): boolean {
  if (address.family !== network.family) return false;
  const hostBits = BigInt(addressBits(network.family) - network.prefixLength);
  return address.bits >> hostBits === network.bits >> hostBits;
}

function bitsOfIpv4(text: string): bigint {
  return text.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function bitsOfIpv6(text: string): bigint {
  const groups = (part: string): bigint[] =>
    part === ''
      ? []
      : part.split(':').flatMap((group) => {
          if (!group.includes('.')) return [BigInt(`0x${group}`)];
          const ipv4 = bitsOfIpv4(group);
          return [ipv4 >> 16n, ipv4 & 0xffffn];
        });
  const [head = '', tail] = text.split('::');
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = new Array<bigint>(8 - before.length - after.length).fill(0n);
  return [...before, ...zeros, ...after].reduce((bits, group) => (bits << 16n) | group, 0n);
}

/** What an address is for, as far as it decides whether an interface or a server can have it. */
export type IpScope =
  | 'unspecified'
  | 'loopback'
  | 'multicast'
  | 'broadcast'
  | 'link-local'
  | 'ipv4-mapped'
  | 'unicast';

const SCOPES: readonly (readonly [network: string, scope: IpScope])[] = [
  ['255.255.255.255/32', 'broadcast'],
  ['0.0.0.0/8', 'unspecified'],
  ['127.0.0.0/8', 'loopback'],
  ['224.0.0.0/4', 'multicast'],
  ['169.254.0.0/16', 'link-local'],
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['::ffff:0:0/96', 'ipv4-mapped'],
  ['ff00::/8', 'multicast'],
  ['fe80::/10', 'link-local'],
];

/** Scope of an address (RFC 6890, RFC 4291). */
export function scopeOf(address: IpAddress): IpScope {
  for (const [network, scope] of SCOPES) {
    const range = parseIpInterface(network);
    if (range !== undefined && isInNetwork(address, range)) return scope;
  }
  return 'unicast';
}
