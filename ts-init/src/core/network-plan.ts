/**
 * Which addresses and which resolver does the node get? From its configuration, else from the kernel's own DHCP.
 */
import {
  type IpAddress,
  type IpInterface,
  parseIp,
  parseIpInterface,
  scopeOf,
} from '@keelos/proto/ip-network.ts';
import type { NodeConfig } from '@keelos/proto/stored-config.ts';

/** What the kernel learned by DHCP: /proc/net/pnp. */
export interface KernelDhcp {
  /** True when the kernel got its address itself. */
  readonly configured: boolean;
  readonly domain: string;
  readonly nameservers: readonly string[];
}

const DOMAIN = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
/** MAXNS of resolv.conf(5). */
const NAMESERVERS_MAX = 3;

/**
 * Reads /proc/net/pnp. What does not look like a domain or an address is dropped: the text comes from the network.
 */
export function parsePnp(text: string): KernelDhcp {
  const values = (key: string): string[] =>
    [...text.matchAll(new RegExp(`^${key} (\\S+)$`, 'gm'))].map((match) => match[1] ?? '');
  const protocol = /^#PROTO: (\S+)/m.exec(text)?.[1] ?? '';
  const [domain = ''] = values('domain').filter((value) => DOMAIN.test(value));
  const usable = values('nameserver').filter((value) => {
    const address = parseIp(value);
    return address !== undefined && scopeOf(address) !== 'unspecified';
  });
  return {
    configured: ['DHCP', 'BOOTP', 'RARP', 'MANUAL'].includes(protocol),
    domain,
    nameservers: usable.slice(0, NAMESERVERS_MAX),
  };
}

/** A static interface, addresses parsed. */
export interface StaticInterface {
  readonly name: string;
  readonly addresses: readonly IpInterface[];
  readonly gateways: readonly IpAddress[];
}

/** What is to be set. */
export interface NetworkPlan {
  readonly mode: 'static' | 'dhcp';
  readonly interfaces: readonly StaticInterface[];
  readonly resolvConf: string;
  /** Values of the configuration that are not addresses; else empty. */
  readonly problem: string;
}

/** Makes the plan. */
export function planNetwork(network: NodeConfig['network'], dhcp: KernelDhcp): NetworkPlan {
  const wrong: string[] = [];
  const parsed = <T>(texts: readonly string[], parse: (text: string) => T | undefined): T[] =>
    texts.flatMap((text) => {
      const value = parse(text);
      if (value === undefined) wrong.push(text);
      return value === undefined ? [] : [value];
    });
  const interfaces = network.interfaces.map((one) => ({
    name: one.name,
    addresses: parsed(one.addresses, parseIpInterface),
    gateways: parsed(one.gateways, parseIp),
  }));
  const own = network.nameservers.filter((text) => parseIp(text) !== undefined);
  return {
    mode: interfaces.length > 0 ? 'static' : 'dhcp',
    interfaces,
    resolvConf: resolvConfText(own.length > 0 ? own : dhcp.nameservers, dhcp.domain),
    problem: wrong.length > 0 ? `Not an address: ${wrong.join(', ')}` : '',
  };
}

/** Contents of /etc/resolv.conf. */
export function resolvConfText(nameservers: readonly string[], domain: string): string {
  const lines = nameservers.slice(0, NAMESERVERS_MAX).map((address) => `nameserver ${address}\n`);
  return `${domain === '' ? '' : `search ${domain}\n`}${lines.join('')}`;
}
