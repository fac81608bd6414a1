/** What an update touches on a real node: the narrow ports of update-ports.ts over the agent's parts. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BundleManifest } from '@keelos/proto/bundle.ts';
import { TRUST_FILE } from '@keelos/proto/bundle.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { AgentPorts } from '../ports.ts';
import type { BootLadder } from './boot-ladder.ts';
import type { BootState } from './boot-state.ts';
import type { HealthRunner } from './health.ts';
import { bootEntryRoots } from './known-roots.ts';
import { bootId, trustBytes } from './node-facts.ts';
import { defaultGateways } from './outside-checks.ts';
import type { ServerIdentity } from './server-identity.ts';
import { setSlotGuid } from './slot-guid.ts';
import { findSlot } from './slots.ts';
import { awaitEvidence } from './trial-evidence.ts';
import type { EnginePorts } from './update-engine.ts';
import type { CommitterPorts, UpdateFacts } from './update-ports.ts';

const ARCHITECTURES: Readonly<Record<string, BundleManifest['arch']>> = {
  x64: 'x86_64',
  arm64: 'aarch64',
};

/** Parts of the agent that an update works with. */
export interface UpdateNode {
  readonly ports: AgentPorts;
  readonly bootState: BootState;
  readonly bootLadder: BootLadder;
  readonly health: HealthRunner;
  readonly identity: ServerIdentity;
  /** Port of the API. */
  readonly apiPort: number;
}

/** Ports of the engine and of the committer. */
export function updatePorts(node: UpdateNode): EnginePorts & CommitterPorts {
  const { ports, bootState, bootLadder, health, identity, apiPort } = node;
  const wait = async (ms: number, signal: AbortSignal) => {
    await sleep(ms, undefined, { signal, ref: false });
  };
  return {
    ...ports,
    wait,
    evidenceKept: (signal) => awaitEvidence(ports, (ms) => wait(ms, signal)),
    boot: bootState,
    facts: factsOf(ports),
    setSlotGuid,
    health: () => health.results(),
    apiProblem: async () => {
      const own = ports.addresses().find(({ isLinkLocal }) => !isLinkLocal);
      const host = own?.cidr.split('/')[0] ?? '127.0.0.1';
      const place = { host, port: apiPort, fingerprint: identity.fingerprint };
      try {
        return await ports.reachApi(place, new AbortController().signal);
      } catch (cause) {
        // The question is another process: a node that cannot start one now may do so a second later.
        return String(cause instanceof KeelError ? cause.message : cause) || 'no reason given';
      }
    },
    mendLadder: (committed) => bootLadder.repair(committed),
  };
}

function factsOf(ports: AgentPorts): UpdateFacts {
  const { files } = ports;
  return {
    arch: ARCHITECTURES[process.arch] ?? 'x86_64',
    bootId: () => bootId(files),
    hasGateway: async () => (await defaultGateways(files)).length > 0,
    trustBytes: () => trustBytes(files, TRUST_FILE),
    otherSlot: () => findSlot(ports, 'other'),
    async rootTable(rootHash) {
      const known = await bootEntryRoots(ports);
      return known.find(({ table }) => table.rootHash === rootHash)?.table;
    },
  };
}
