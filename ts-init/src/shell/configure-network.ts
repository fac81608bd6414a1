/**
 * Sets loopback, addresses, routes and the resolver.
 */

import type { BootReport } from '@keelos/proto/init-control.ts';
import type { IpAddress, IpInterface } from '@keelos/proto/ip-network.ts';
import {
  type AddressFacts,
  encodeAddAddress,
  encodeDefaultRoute,
  encodeLinkUp,
  encodeListAddresses,
  encodeListLinks,
  encodeRemoveAddress,
  type LinkFacts,
} from '../core/netlink.ts';
import { parsePnp, planNetwork, type StaticInterface } from '../core/network-plan.ts';
import type { InitConfig } from '../core/node-config-value.ts';
import type { Netlink } from '../sys/netlink-socket.ts';
import { writeEtc } from './identity.ts';
import { codeOf, type Machine, reasonOf } from './machine.ts';

const PNP = '/proc/net/pnp';
const LOOPBACK = 'lo';
const LINK_WAIT_MS = 5_000;
const LINK_POLL_MS = 100;

/** Performs the network plan. Problems come back in the report; only a broken netlink socket throws. */
export async function configureNetwork(
  machine: Machine,
  config: InitConfig,
): Promise<BootReport['network']> {
  const dhcp = parsePnp(readIfThere(machine, PNP));
  const plan = planNetwork(config.network, dhcp);
  const problems = plan.problem === '' ? [] : [plan.problem];
  const netlink = machine.openNetlink();
  try {
    const { links } = netlink.ask('list interfaces', encodeListLinks);
    attempt(problems, () => linkUp(netlink, links, LOOPBACK));
    writeEtc(machine, 'resolv.conf', plan.resolvConf);
    for (const wanted of plan.interfaces) {
      const link = await waitForLink(machine, netlink, wanted.name);
      if (link === undefined) problems.push(`There is no interface ${wanted.name}`);
      else applyStatic(netlink, { wanted, link, problems });
    }
    const { addresses } = netlink.ask('list addresses', encodeListAddresses);
    const reachable = addresses.some((one) => isUseful(one, links));
    if (!reachable) problems.push('The node has no address');
    return { mode: reachable ? plan.mode : 'none', problem: problems.join('; ') };
  } finally {
    netlink.close();
  }
}

function applyStatic(
  netlink: Netlink,
  at: { wanted: StaticInterface; link: LinkFacts; problems: string[] },
): void {
  const { wanted, link, problems } = at;
  attempt(problems, () => linkUp(netlink, [link], link.name));
  const { addresses } = netlink.ask('list addresses', encodeListAddresses);
  // First what the kernel's DHCP had set: a new address in the same subnet would be a secondary one of it, and the
  // kernel removes those together with their primary (promote_secondaries is off).
  for (const old of addresses.filter((one) => one.linkIndex === link.index && one.family === 4)) {
    if (wanted.addresses.some((address) => isSame(address, old))) continue;
    attempt(problems, () => {
      netlink.ask(`remove address from ${link.name}`, (sequence) =>
        encodeRemoveAddress(old, sequence),
      );
    });
  }
  for (const address of wanted.addresses) {
    attempt(problems, () => {
      const full = { ...address, linkIndex: link.index };
      netlink.ask(`add address to ${link.name}`, (sequence) => encodeAddAddress(full, sequence));
    });
  }
  for (const gateway of wanted.gateways) {
    attempt(problems, () => {
      const route = { gateway, linkIndex: link.index };
      netlink.ask(`set gateway on ${link.name}`, (sequence) => encodeDefaultRoute(route, sequence));
    });
  }
}

function linkUp(netlink: Netlink, links: readonly LinkFacts[], name: string): void {
  const link = links.find((one) => one.name === name);
  if (link === undefined) throw new Error(`There is no interface ${name}`);
  if (link.up) return;
  netlink.ask(`set ${name} up`, (sequence) => encodeLinkUp(link.index, sequence));
}

async function waitForLink(
  machine: Machine,
  netlink: Netlink,
  name: string,
): Promise<LinkFacts | undefined> {
  for (let waitedMs = 0; ; waitedMs += LINK_POLL_MS) {
    const { links } = netlink.ask('list interfaces', encodeListLinks);
    const link = links.find((one) => one.name === name);
    if (link !== undefined || waitedMs >= LINK_WAIT_MS) return link;
    await new Promise<void>((resolve) => void machine.clock.after(LINK_POLL_MS, resolve));
  }
}

/** True for an address that others can reach: not loopback's, not IPv6 link-local. */
function isUseful(address: AddressFacts, links: readonly LinkFacts[]): boolean {
  const loopback = links.find((link) => link.name === LOOPBACK)?.index;
  const linkLocal = address.family === 6 && address.bits >> 118n === 0xfe80n >> 6n;
  return address.linkIndex !== loopback && !linkLocal;
}

function isSame(a: IpAddress & Pick<IpInterface, 'prefixLength'>, b: IpInterface): boolean {
  return a.family === b.family && a.bits === b.bits && a.prefixLength === b.prefixLength;
}

function attempt(problems: string[], work: () => void): void {
  try {
    work();
  } catch (error) {
    problems.push(reasonOf(error));
  }
}

function readIfThere(machine: Machine, path: string): string {
  try {
    return machine.files.readText(path);
  } catch (error) {
    // A kernel without IP autoconfiguration does not have the file.
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  }
}
