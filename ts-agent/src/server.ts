/**
 * The agent: opens its port first, with as little loaded as the handshake needs, and loads what answers calls after.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BELIEVED_MS } from '@keelos/proto/believed-time.ts';
import { SERVER_DNS_NAME } from '@keelos/proto/certificates.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import type { Limits } from './core/limits.data.ts';
import { LIMITS } from './core/limits.data.ts';
import { parseOsRelease } from './core/proc-text.ts';
import type { AgentPorts } from './ports.ts';
import type { ListenerOptions } from './shell/listener.ts';
import { Listener } from './shell/listener.ts';
import type { ServerIdentity } from './shell/server-identity.ts';
import { serverIdentity, storeIdentity } from './shell/server-identity.ts';
import { Trust } from './shell/trust.ts';

/** Where to listen, and with which limits. */
export interface AgentOptions {
  readonly host: string;
  readonly port: number;
  readonly limits?: Partial<Limits>;
}

/** A running agent. */
export interface Agent {
  readonly port: number;
  /** SHA-256 of the server certificate, 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
  readonly identity: ServerIdentity;
  readonly connectionCount: () => number;
  close(): Promise<void>;
}

/** Starts the agent and returns once it answers calls. @throws the error of bind(2) or listen(2) */
export async function createAgent(ports: AgentPorts, options: AgentOptions): Promise<Agent> {
  const limits = { ...LIMITS, ...options.limits };
  markBoot(ports, 'agent-started');
  const release = parseOsRelease((await ports.files.readText(NODE_PATHS.osRelease)) ?? '');
  const buildMs = Number(release.get('BUILD_EPOCH') ?? 0) * 1000;
  const hostname =
    (await ports.files.readText('/proc/sys/kernel/hostname'))?.trim() || SERVER_DNS_NAME;
  const made = await serverIdentity(ports.state, () => ({
    random: ports.random,
    hostname,
    addresses: ports.addresses().map(({ cidr }) => cidr.split('/')[0] ?? ''),
    notBeforeMs: buildMs,
  }));
  // A certificate that begins later is not believed.
  const trust = new Trust(ports, buildMs + BELIEVED_MS);
  const listener = await openListener({ ...options, limits, identity: made.identity }, trust);
  markBoot(ports, 'api-listening');
  await sent();
  const identity = storeIdentity(ports.state, made.identity, made.origin);
  const { startServices } = await import('./start-services.ts');
  const services = await startServices({
    ports,
    limits,
    identity,
    trust,
    listener,
    buildMs,
    hostname,
    version: release.get('VERSION_ID') ?? '',
  });
  // After the announcement: what PID 1 says on the console next must not fall between its lines.
  services.announced.then(() => markBoot(ports, 'api-ready'));
  return {
    port: listener.port,
    fingerprint: identity.fingerprint,
    identity,
    connectionCount: () => listener.connectionCount,
    async close() {
      services.drain();
      await listener.close(limits.closeGraceMs);
      await services.close();
    },
  };
}

async function openListener(
  options: AgentOptions & { readonly limits: Limits; readonly identity: ServerIdentity },
  trust: Trust,
): Promise<Listener> {
  const isProven: ListenerOptions['isProven'] = ({ fingerprint }) => trust.isEnrolled(fingerprint);
  try {
    return await Listener.open({ ...options, isProven });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    // A kernel without IPv6.
    if (options.host !== '::' || code !== 'EAFNOSUPPORT') throw cause;
    return Listener.open({ ...options, host: '0.0.0.0', isProven });
  }
}

/** PID 1 notes the time at which a mark arrives, so it has to leave before the loading below takes the thread. */
async function sent(): Promise<void> {
  // One turn of the event loop connects, the next one writes.
  for (let turn = 0; turn < 2; turn += 1) await nextTurn();
}

/** The boot report is a convenience: that PID 1 did not take the mark is logged and nothing more. */
function markBoot(ports: AgentPorts, step: string): void {
  ports.init.request({ op: 'markBoot', step }).catch((cause: unknown) => {
    if (!(cause instanceof KeelError)) throw cause;
    ports.log(`boot step ${step} not recorded: ${cause.message}`);
  });
}
