/**
 * Health checks of what lies around the node: the way out of it, and the probes of its configuration. Pure.
 *
 * They may fail although nothing is wrong with the release that runs, see {@link isOutsideCheck}.
 */
import type { ProbeConfig } from '@keelos/proto/stored-config.ts';
import type { Verdict } from './health-checks.ts';

/** Name of the check of the way out. */
export const REACH_CHECK = 'reach';
const PROBE_PREFIX = 'probe/';

/** Name of the check of a probe. */
export function probeCheckName(name: string): string {
  return `${PROBE_PREFIX}${name}`;
}

/**
 * True for a check of something outside the node. In a trial such a check counts like every other. On a release that is
 * committed it says nothing against the release: a switch that is off for a week must not use up its tries.
 */
export function isOutsideCheck(name: string): boolean {
  return name === REACH_CHECK || name.startsWith(PROBE_PREFIX);
}

/** How a probe or a connection went: what was seen, or why it failed. */
export type Outcome =
  | { readonly kind: 'passed'; readonly seen: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** What a probe asks, in one word and its address. */
export function probeTarget({ tcp, http, grpc }: ProbeConfig): string {
  if (tcp !== undefined) return `tcp ${tcp}`;
  return http ?? grpc ?? '';
}

/** A probe passed the last time. */
export function judgeProbe(probe: ProbeConfig, outcome: Outcome): Verdict {
  const target = probeTarget(probe);
  if (outcome.kind === 'passed') {
    return { state: 'healthy', message: `${target}: ${outcome.seen}.`, remedy: '' };
  }
  return {
    state: 'failing',
    message: `The probe of ${target} failed: ${outcome.reason}.`,
    remedy: `Look at what answers there, and at probes in the configuration of the node (name: ${probe.name}).`,
  };
}

/** A default gateway of the routing table. */
export interface Gateway {
  readonly address: string;
  readonly interface: string;
}

/** What became of a connection to a gateway: only `unreachable` means that it is not there. */
export type GatewayAnswer = 'answers' | 'silent' | 'unreachable';

/** Facts of {@link judgeReach}. */
export type ReachFacts =
  | { readonly kind: 'target'; readonly target: string; readonly outcome: Outcome }
  | {
      readonly kind: 'gateways';
      /** Gateways that the configuration names. */
      readonly expected: readonly string[];
      readonly found: readonly (Gateway & { readonly answer: GatewayAnswer })[];
      /** A release is on trial, and the one before it had a default gateway. */
      readonly hadGateway: boolean;
    };

/** The way out of the node is open: to the configured target, or to the default gateway. */
export function judgeReach(facts: ReachFacts): Verdict {
  if (facts.kind === 'target') return judgeTarget(facts.target, facts.outcome);
  const { expected, found, hadGateway } = facts;
  const remedy =
    'Check the cable, the switch and the gateway, and network.interfaces in the configuration.';
  const missing = expected.filter((address) => !found.some((one) => one.address === address));
  if (missing.length > 0) {
    const message = `The kernel has no route over the configured gateway ${missing.join(', ')}.`;
    return { state: 'failing', message, remedy };
  }
  if (found.length === 0 && hadGateway) {
    const message = 'The node has no default gateway. The release before this one had one.';
    return { state: 'failing', message, remedy };
  }
  if (found.length === 0) {
    const message = 'The node has no default gateway, and health.networkTarget names nothing else.';
    return { state: 'healthy', message, remedy: '' };
  }
  const dead = found.filter(({ answer }) => answer === 'unreachable');
  const named = (list: readonly Gateway[]) =>
    list.map((one) => `${one.address} on ${one.interface}`).join(', ');
  const alive = found.filter((one) => !dead.includes(one));
  if (alive.length === 0) {
    return { state: 'failing', message: `The gateway ${named(dead)} is not there.`, remedy };
  }
  const silent = alive.every(({ answer }) => answer === 'silent');
  const how = silent ? 'takes packets' : 'answers';
  // One way out is enough: of two families one may be of no use here.
  const rest = dead.length === 0 ? '' : `; ${named(dead)} is not there`;
  return { state: 'healthy', message: `The gateway ${named(alive)} ${how}${rest}.`, remedy: '' };
}

function judgeTarget(target: string, outcome: Outcome): Verdict {
  if (outcome.kind === 'passed') {
    return { state: 'healthy', message: `${target} takes connections.`, remedy: '' };
  }
  return {
    state: 'failing',
    message: `health.networkTarget ${target} takes no connection: ${outcome.reason}.`,
    remedy: 'Check the network and the target, and health.networkTarget in the configuration.',
  };
}

const RTF_GATEWAY = 0x2;
/** Gateways that are looked at; a node has one for each family. */
export const GATEWAYS_MAX = 4;

/** Default gateways of /proc/net/route, the one that is used first. */
export function parseIpv4Gateways(text: string): Gateway[] {
  const rows = text.split('\n').flatMap((line) => {
    const [name = '', destination, gateway = '', flags = '', , , metric, mask] = line.split(/\s+/);
    const isDefault = destination === '00000000' && mask === '00000000';
    if (!isDefault || !/^[0-9A-F]{8}$/i.test(gateway)) return [];
    if ((Number.parseInt(flags, 16) & RTF_GATEWAY) === 0) return [];
    // The kernel writes the address as a number of this machine: least significant byte first.
    const address = [...Buffer.from(gateway, 'hex')].reverse().join('.');
    return [{ address, interface: name, metric: Number(metric) }];
  });
  return inOrder(rows);
}

/** Default gateways of /proc/net/ipv6_route; link-local ones with their interface ("fe80::1%eth0"). */
export function parseIpv6Gateways(text: string): Gateway[] {
  const rows = text.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [destination = '', length, , , gateway = '', metric = '', , , flags = '', name = ''] =
      fields;
    const isDefault = /^0{32}$/.test(destination) && length === '00';
    if (!isDefault || !/^[0-9a-f]{32}$/i.test(gateway) || /^0{32}$/.test(gateway)) return [];
    if ((Number.parseInt(flags, 16) & RTF_GATEWAY) === 0) return [];
    return [
      {
        address: ipv6Text(gateway),
        interface: name,
        metric: Number.parseInt(metric, 16),
      },
    ];
  });
  return inOrder(rows);
}

function inOrder(rows: readonly (Gateway & { readonly metric: number })[]): Gateway[] {
  return [...rows]
    .sort((a, b) => a.metric - b.metric)
    .slice(0, GATEWAYS_MAX)
    .map(({ address, interface: name }) => ({ address, interface: name }));
}

/** An address as it is compared: IPv6 in its shortest form (RFC 5952), in lower case. */
export function canonicalAddress(text: string): string {
  return text.includes(':') ? new URL(`http://[${text}]/`).hostname.slice(1, -1) : text;
}

/** An address of 32 digits as people write it. */
function ipv6Text(digits: string): string {
  const groups = digits.match(/.{4}/g)?.map((group) => group.toLowerCase()) ?? [];
  return canonicalAddress(groups.join(':'));
}
