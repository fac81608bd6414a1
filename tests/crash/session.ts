/**
 * The agent of one boot: its real installer, committer and boot state over a simulated machine. What is simulated is the
 * edge: PID 1, health checks, the clock, the process that verifies, the server that has the bundle.
 */
import { createHash } from 'node:crypto';
import { BundleReader } from '@keelos/as-core/bundle.ts';
import type { InitRequest } from '@keelos/proto/init-control.ts';
import type { TrialPolicy } from '@keelos/proto/update-record.ts';
import type { CheckResult } from '@keelos/ts-agent/core/health-history.ts';
import { scheduleSubject } from '@keelos/ts-agent/core/schedule-record.ts';
import type { AgentPorts } from '@keelos/ts-agent/ports.ts';
import type { Committer } from '@keelos/ts-agent/shell/committer.ts';
import type { Scheduler } from '@keelos/ts-agent/shell/scheduler.ts';
import type { UpdateEngine } from '@keelos/ts-agent/shell/update-engine.ts';
import type { CommitterPorts, InstallerPorts } from '@keelos/ts-agent/shell/update-ports.ts';
import type { FakeClock } from '@keelos/ts-agent/sys/clock.fake.ts';
import type { VerifyImage } from '@keelos/ts-agent/sys/image-verifier.ts';
import { MemoryStateStore } from '@keelos/ts-agent/sys/state-store.fake.ts';
import type { StateStore } from '@keelos/ts-agent/sys/state-store.ts';
import type { UpdateSource } from '@keelos/ts-agent/sys/update-source.ts';
import type { AgentModules } from './agent-modules.ts';
import { DEVICES, SLOT_PARTITIONS } from './fresh-medium.ts';
import type { Hardware } from './hardware.ts';
import type { Releases } from './judge.ts';
import { kernelView } from './kernel-view.ts';
import type { RunningSystem } from './machine.ts';
import { ARCH, type Release } from './releases.ts';
import { simulatedFiles } from './simulated-files.ts';
import type { Draw } from './survival.ts';
import { findingsOf } from './verity-findings.ts';

/** How a trial is judged here: a deadline that passes after a few looks of the gate. */
export const POLICY: TrialPolicy = {
  autoRollback: true,
  healthTimeoutSeconds: 20,
  minHealthySeconds: 2,
};
/** Looks at the clock in one boot: a gate that never decides ends here. */
const WAITS_MAX = 500;
const PIECE_BYTES = 8192;

/** The one WebAssembly instance of all sessions. */
const bundles = BundleReader.create();

/** How a release is installed. */
export interface InstallWish {
  readonly retryFailed?: boolean;
  readonly isRebootLeft?: boolean;
  /** Made of a delta: from front to back, its kernel image judged where it was placed. */
  readonly byDelta?: boolean;
  /** Told before each piece that the server sends, with its place in the bundle. */
  readonly onPiece?: (offsetBytes: number) => void;
}

/** Everything of a boot that a session needs. */
export interface SessionParts {
  readonly hardware: Hardware;
  readonly system: RunningSystem;
  readonly agent: AgentModules;
  readonly bootId: string;
  readonly clock: FakeClock;
  readonly draw: Draw;
  readonly trustBytes: Uint8Array;
  /** Every release that a server has. */
  readonly releases: Releases;
}

/** An agent that runs. */
export class Session {
  readonly release: Release;
  readonly engine: UpdateEngine;
  readonly committer: Committer;
  readonly scheduler: Scheduler;
  /** Lines that the agent wrote. */
  readonly logged: string[] = [];
  /** What it asked of PID 1. */
  readonly requests: InitRequest[] = [];
  /** Records, for other parts of the agent. */
  readonly state: StateStore;
  readonly clock: FakeClock;
  readonly files: AgentPorts['files'];
  readonly random: (count: number) => Uint8Array;
  #waits = 0;

  constructor(parts: SessionParts) {
    const { hardware, system, agent, draw } = parts;
    this.release = system.release;
    this.clock = parts.clock;
    this.files = kernelView(hardware, system, parts.bootId);
    this.state = stateOf(hardware, agent);
    this.random = (count) => Uint8Array.from({ length: count }, () => draw(256));
    const edge: Edge = {
      ...{ clock: this.clock, files: this.files, state: this.state, random: this.random },
      variables: hardware.variables,
      openDevice: hardware.openDevice,
      targetOf: async () => 'verity',
      verifyImage: verifierOf(hardware),
      readBundle: async (tail, sizeBytes) => (await bundles).readTail(tail, sizeBytes),
      readTrust: async (bytes) => (await bundles).readTrust(bytes),
      init: this.#init(),
      log: (line) => this.logged.push(line),
    };
    const ports = this.#ports(edge, parts);
    this.engine = new agent.UpdateEngine(ports);
    this.committer = new agent.Committer(ports, this.engine);
    this.scheduler = new agent.Scheduler(edge, {
      history: () => this.engine.history.entries(),
      start: ({ id, url }) => this.#installScheduled(id, releaseOf(url, parts.releases)),
    });
  }

  /** True once the machine is to be restarted. */
  get isRebootAsked(): boolean {
    return this.requests.some(({ op }) => op === 'reboot');
  }

  /** Installs a release; returns when it is armed, and the reboot asked for if wanted. @throws KeelError why it was not */
  async install(release: Release, of: InstallWish = {}): Promise<void> {
    const { retryFailed = false, isRebootLeft = false, byDelta = false, onPiece } = of;
    const sha256 = createHash('sha256').update(release.bundle).digest('hex');
    const options = { sha256, isDryRun: false, isRebootLeft, retryFailed, policy: POLICY };
    const source = sourceOf(release, onPiece);
    const wanted = byDelta ? inOrder(source, release) : source;
    await this.engine.install(wanted, options, 'CN=operator');
    if (!isRebootLeft) await this.#untilRebootAsked();
  }

  async #installScheduled(id: string, release: Release): Promise<void> {
    const options = {
      ...{ sha256: '', isDryRun: false, isRebootLeft: false, retryFailed: false, policy: POLICY },
    };
    await this.engine.install(sourceOf(release), options, scheduleSubject(id));
    await this.#untilRebootAsked();
  }

  /** Goes back to what the other slot has. @throws KeelError why it does not */
  async rollback(reason: string): Promise<void> {
    const options = { policy: POLICY, retryFailed: true, isRebootLeft: false, reason };
    await this.engine.rollback(options, 'CN=operator');
    await this.#untilRebootAsked();
  }

  /** The engine goes on by itself once a release is armed. */
  async #untilRebootAsked(): Promise<void> {
    for (let turns = 0; turns < WAITS_MAX && !this.isRebootAsked; turns += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #init(): AgentPorts['init'] {
    return {
      request: async (request) => {
        this.requests.push(request);
        return { type: 'ok' };
      },
      async *readLog() {
        // The log of a simulated PID 1 is empty.
      },
    };
  }

  #ports(edge: Edge, { agent, trustBytes, bootId }: SessionParts): InstallerPorts & CommitterPorts {
    const boot = new agent.BootState(edge);
    const ladder = new agent.BootLadder(edge, boot);
    return {
      ...edge,
      boot,
      setSlotGuid: agent.setSlotGuid,
      facts: {
        arch: ARCH,
        bootId: async () => bootId,
        hasGateway: async () => true,
        trustBytes: async () => trustBytes,
        otherSlot: async () => {
          const { slot, device, sizeBytes, guid } = await agent.findSlot(edge, 'other');
          const partitionNumber = SLOT_PARTITIONS[slot].number;
          return { slot, device, sizeBytes, guid, disk: DEVICES.disk, partitionNumber };
        },
        rootTable: async (rootHash) => {
          const known = await agent.bootEntryRoots(edge);
          return known.find(({ table }) => table.rootHash === rootHash)?.table;
        },
      },
      evidenceKept: async () => undefined,
      health: async () => [this.#services()],
      apiProblem: async () => '',
      mendLadder: (committed) => ladder.repair(committed),
      wait: async (ms) => this.#wait(ms),
    };
  }

  #services(): CheckResult {
    const isHealthy = this.release.behaviour === 'healthy';
    const state = isHealthy ? 'healthy' : 'failing';
    const message = isHealthy ? 'every service runs' : 'a service does not run';
    return { name: 'services', state, message, remedy: '', sinceMs: 0 };
  }

  async #wait(ms: number): Promise<void> {
    this.#waits += 1;
    if (this.#waits > WAITS_MAX) throw new Error(`it waits for ever: ${this.logged.at(-1)}`);
    this.clock.advance(ms);
  }
}

/** Ports that more than one part of the agent has. */
type Edge = Pick<
  AgentPorts,
  | 'clock'
  | 'files'
  | 'state'
  | 'random'
  | 'variables'
  | 'openDevice'
  | 'targetOf'
  | 'verifyImage'
  | 'readBundle'
  | 'readTrust'
  | 'init'
  | 'log'
>;

/** Records on the state partition; what lies in /run is gone with the boot. */
function stateOf(hardware: Hardware, { createStateStore }: AgentModules): StateStore {
  const volatile = new MemoryStateStore();
  const disk: StateStore = {
    ...createStateStore(simulatedFiles(hardware)),
    probe: async () => undefined,
  };
  const storeOf = (path: string) => (path.startsWith('/run/') ? volatile : disk);
  return {
    read: (path) => storeOf(path).read(path),
    replace: (path, bytes) => storeOf(path).replace(path, bytes),
    probe: (path) => storeOf(path).probe(path),
    list: (directory) => storeOf(directory).list(directory),
    remove: (path) => storeOf(path).remove(path),
    setAside: (path) => storeOf(path).setAside(path),
  };
}

/** The verifying process: reads through the page cache that the writer filled. */
function verifierOf(hardware: Hardware): VerifyImage {
  return async (place, { onProgress }) => {
    const device = hardware.device(place.device);
    const findings = findingsOf((offset, length) => device.read(offset, length), place);
    onProgress(findings.fileSystem.bytes);
    return findings;
  };
}

/** Where a server has the bundle of a release. */
export function urlOf({ version }: Release): string {
  return `https://example.org/keelos-${version}.squashfs`;
}

function releaseOf(url: string, releases: Releases): Release {
  const release = [...releases.values()].find((each) => urlOf(each) === url);
  if (release === undefined) throw new TypeError(`nothing is at ${url}`);
  return release;
}

/** A server that has the bundle of a release. */
function sourceOf(
  { bundle, version }: Release,
  onPiece: (offsetBytes: number) => void = () => undefined,
): UpdateSource {
  return {
    open: async () => ({ sizeBytes: bundle.length, name: `keelos-${version}` }),
    async *read({ offsetBytes, lengthBytes }) {
      const end = offsetBytes + lengthBytes;
      for (let at = offsetBytes; at < end; at += PIECE_BYTES) {
        onPiece(at);
        yield Uint8Array.from(bundle.subarray(at, Math.min(end, at + PIECE_BYTES)));
      }
    },
    close: async () => undefined,
  };
}

/**
 * The same as what a delta makes of the running release: the end of the bundle is there at once, what comes before it only
 * from front to back.
 */
function inOrder(source: UpdateSource, { bundle, root, uki }: Release): UpdateSource {
  const end = bundle.subarray(root.length + uki.length);
  let place = -1;
  return {
    ...source,
    open: async (signal) => ({ ...(await source.open(signal)), end }),
    async *read(range, signal) {
      if (place >= 0 && range.offsetBytes < place) throw new TypeError('read backwards');
      place = range.offsetBytes + range.lengthBytes;
      yield* source.read(range, signal);
    },
  };
}
