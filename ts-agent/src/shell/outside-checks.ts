/**
 * Looks at what lies around the node, again and again: the way out of it, and the probes of its configuration. Health
 * checks take the last result, so that a slow probe does not hold them up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeConfig, ProbeConfig } from '@keelos/proto/stored-config.ts';
import { DEFAULT_NODE_CONFIG } from '@keelos/proto/stored-config.ts';
import type { Verdict } from '../core/health-checks.ts';
import { plainReason } from '../core/http-failure.ts';
import type { Gateway, GatewayAnswer, Outcome } from '../core/outside-checks.ts';
import {
  canonicalAddress,
  judgeProbe,
  judgeReach,
  parseIpv4Gateways,
  parseIpv6Gateways,
  probeCheckName,
  REACH_CHECK,
} from '../core/outside-checks.ts';
import type { AgentPorts } from '../ports.ts';
import type { HostAnswer } from '../sys/probe.ts';
import { attempt } from './attempt.ts';
import type { NodeConfigStore } from './node-config-store.ts';
import { rootHash } from './node-facts.ts';
import { trialRecord } from './update-records.ts';

/** From one look at the way out to the next. */
export const REACH_PERIOD_MS = 10_000;
/** Time for the configured target. */
export const TARGET_MS = 5_000;
/**
 * A gateway that is silent for so long is there: of one that is not, the kernel says so after three questions on the
 * network, one a second.
 */
export const SILENCE_MS = 4_000;
/**
 * The kernel's own word that an address is not on the network takes longer than this. What comes sooner is a firewall's
 * (ICMP), or the end of a search that other packets began: asking again tells the two apart.
 */
export const SEARCH_MS_MIN = 1_000;
/** A check waits so long for the first look; a health check has longer (CHECK_MS), and its words would be vaguer. */
export const FIRST_LOOK_MS = 2_000;
const KNOCKS_MAX = 2;
/** Shortest pause between two runs, for a probe that takes longer than its period. */
export const PAUSE_MS_MIN = 500;
/** Port that a gateway is knocked at (discard): it need not be open. */
const KNOCK_PORT = 9;

/** Ports of {@link OutsideChecks}. */
export type OutsidePorts = Pick<
  AgentPorts,
  'files' | 'clock' | 'log' | 'state' | 'askProbe' | 'knock'
>;

/** What is to be looked at. */
export interface OutsideSettings extends Pick<NodeConfig, 'probes' | 'health'> {
  /** Gateways that the configuration names. */
  readonly gateways: readonly string[];
  /** Address and gateway are from DHCP: the configuration names no interface. */
  readonly isDynamic: boolean;
}

/** One thing that is looked at, and its last result. */
interface Watch {
  readonly name: string;
  readonly periodMs: number;
  /** When the loop began, by the monotonic clock. */
  readonly beganMs: number;
  readonly look: (signal: AbortSignal) => Promise<Verdict>;
  readonly first: PromiseWithResolvers<Verdict>;
  last: Verdict | undefined;
}

/** The loops, one for each thing that is looked at. */
export class OutsideChecks {
  readonly #ports: OutsidePorts;
  #running = new AbortController();
  #watches: readonly Watch[] = [];

  constructor(ports: OutsidePorts) {
    this.#ports = ports;
  }

  /** Ends the loops that run and starts those of `settings`. */
  restart(settings: OutsideSettings): void {
    this.close();
    const running = new AbortController();
    this.#running = running;
    this.#watches = [
      this.#watch(REACH_CHECK, REACH_PERIOD_MS, (signal) => this.#reach(settings, signal)),
      ...settings.probes.map((probe) =>
        this.#watch(probeCheckName(probe.name), probe.periodSeconds * 1_000, (signal) =>
          this.#probe(probe, signal),
        ),
      ),
    ];
    for (const watch of this.#watches) {
      this.#loop(watch, running.signal).catch((cause: unknown) => {
        if (!running.signal.aborted) this.#ports.log(`${watch.name} ended: ${String(cause)}`);
      });
    }
  }

  /** The checks, each with its last result; before there is one, a check waits {@link FIRST_LOOK_MS} for it. */
  checks(): (readonly [name: string, check: () => Promise<Verdict> | Verdict])[] {
    return this.#watches.map((watch) => [watch.name, () => watch.last ?? this.#first(watch)]);
  }

  async #first(watch: Watch): Promise<Verdict> {
    const ended = new AbortController();
    const late = sleep(FIRST_LOOK_MS, undefined, { signal: ended.signal, ref: false });
    try {
      return await Promise.race([watch.first.promise, late.then(() => this.#firstRuns(watch))]);
    } finally {
      ended.abort();
    }
  }

  #firstRuns({ beganMs }: Watch): Verdict {
    const seconds = Math.round((this.#ports.clock.monotonicMs() - beganMs) / 1_000);
    return {
      state: 'failing',
      message: `The first look is running, for ${seconds} s so far.`,
      remedy: 'Ask again in a few seconds.',
    };
  }

  /** Ends the loops. */
  close(): void {
    this.#running.abort();
    // Who waits for one of them must not wait for ever.
    for (const { first } of this.#watches) first.resolve(NOT_LOOKED_AT);
  }

  #watch(name: string, periodMs: number, look: Watch['look']): Watch {
    const beganMs = this.#ports.clock.monotonicMs();
    return { name, periodMs, beganMs, look, first: Promise.withResolvers(), last: undefined };
  }

  async #loop(watch: Watch, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const beganMs = this.#ports.clock.monotonicMs();
      const verdict = await watch.look(signal).catch(brokenLook);
      if (signal.aborted) return;
      if (watch.last?.state !== verdict.state) {
        this.#ports.log(`${watch.name} is ${verdict.state}: ${verdict.message}`);
      }
      watch.last = verdict;
      watch.first.resolve(verdict);
      const tookMs = this.#ports.clock.monotonicMs() - beganMs;
      const pauseMs = Math.max(PAUSE_MS_MIN, watch.periodMs - tookMs);
      await sleep(pauseMs, undefined, { signal, ref: false });
    }
  }

  async #probe(probe: ProbeConfig, signal: AbortSignal): Promise<Verdict> {
    const ask = (soon: AbortSignal) => this.#ports.askProbe(probe, soon);
    return judgeProbe(probe, await outcomeOf(ask, { signal, ms: probe.timeoutSeconds * 1_000 }));
  }

  async #reach(
    { health, gateways, isDynamic }: OutsideSettings,
    signal: AbortSignal,
  ): Promise<Verdict> {
    const { networkTarget: target } = health;
    if (target !== undefined) {
      const timing = { timeoutSeconds: TARGET_MS / 1_000, periodSeconds: REACH_PERIOD_MS / 1_000 };
      const ask = (soon: AbortSignal) =>
        this.#ports.askProbe({ name: REACH_CHECK, tcp: target, ...timing }, soon);
      const outcome = await outcomeOf(ask, { signal, ms: TARGET_MS });
      return judgeReach({ kind: 'target', target, outcome });
    }
    const routes = await defaultGateways(this.#ports.files);
    const found = await Promise.all(
      routes.map(async (gateway) => ({ ...gateway, answer: await this.#knock(gateway, signal) })),
    );
    const expected = gateways.map(canonicalAddress);
    return judgeReach({
      kind: 'gateways',
      expected,
      found,
      hadGateway: isDynamic && (await this.#hadGateway()),
    });
  }

  /** In a trial, what its record says of the release before. */
  async #hadGateway(): Promise<boolean> {
    const { log, files } = this.#ports;
    const record = attempt(log, 'trial record', () => trialRecord(this.#ports));
    return record?.hadGateway === true && record.to.rootHash === (await rootHash(files));
  }

  async #knock(gateway: Gateway, signal: AbortSignal): Promise<GatewayAnswer> {
    const { clock } = this.#ports;
    for (let knocks = 0; knocks < KNOCKS_MAX; knocks += 1) {
      const beganMs = clock.monotonicMs();
      const answer = await this.#knockOnce(gateway, signal);
      if (answer === 'no-route') return 'unreachable';
      if (answer !== 'unreachable' || clock.monotonicMs() - beganMs >= SEARCH_MS_MIN) return answer;
    }
    // Told at once, and again at once: there is somebody who tells.
    return 'answers';
  }

  async #knockOnce(
    { address, interface: name }: Gateway,
    signal: AbortSignal,
  ): Promise<GatewayAnswer | HostAnswer> {
    const late = AbortSignal.timeout(SILENCE_MS);
    // A link-local address means something on its interface only.
    const host = /^fe[89ab]/i.test(address) ? `${address}%${name}` : address;
    try {
      const target = { host, port: KNOCK_PORT };
      return await this.#ports.knock(target, AbortSignal.any([signal, late]));
    } catch {
      return late.aborted ? 'silent' : 'no-route';
    }
  }
}

/** Default gateways of the routing table, of both families. */
export async function defaultGateways(files: AgentPorts['files']): Promise<Gateway[]> {
  return [
    ...parseIpv4Gateways((await files.readText('/proc/net/route')) ?? ''),
    ...parseIpv6Gateways((await files.readText('/proc/net/ipv6_route')) ?? ''),
  ];
}

/** The settings in force. */
export function outsideSettings({
  config = DEFAULT_NODE_CONFIG,
  bootConfig,
}: Pick<NodeConfigStore, 'config' | 'bootConfig'>): OutsideSettings {
  const interfaces = bootConfig?.network.interfaces ?? [];
  const gateways = interfaces.flatMap((one) => one.gateways);
  const isDynamic = interfaces.length === 0;
  return { probes: config.probes, health: config.health, gateways, isDynamic };
}

const NOT_LOOKED_AT: Verdict = {
  state: 'failing',
  message: 'The configuration has just changed, and nobody has looked since.',
  remedy: 'Ask again.',
};

/** A look that throws says nothing of what was looked for: the last result must not stand for ever. */
function brokenLook(cause: unknown): Verdict {
  return {
    state: 'failing',
    message: `The look has failed: ${cause instanceof Error ? cause.message : String(cause)}.`,
    remedy: 'Look at osctl logs agent.',
  };
}

/** How `ask` went, within its time. */
async function outcomeOf(
  ask: (signal: AbortSignal) => Promise<string>,
  { signal, ms }: { readonly signal: AbortSignal; readonly ms: number },
): Promise<Outcome> {
  const late = AbortSignal.timeout(ms);
  try {
    return { kind: 'passed', seen: await ask(AbortSignal.any([signal, late])) };
  } catch (cause) {
    if (late.aborted) return { kind: 'failed', reason: `no result within ${ms / 1_000} s` };
    const reason = plainReason(cause instanceof Error ? cause.message : String(cause));
    return { kind: 'failed', reason };
  }
}
