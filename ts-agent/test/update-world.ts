/** A node in memory that takes updates: a disk, a loader, keys and bundles made here, and the real parts of the agent. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { BundleReader } from '@keelos/as-core/bundle.ts';
import {
  afterOneTry,
  ENTRIES_DIR,
  entryFileName,
  entryText,
  kernelImagePath,
  LOADER_PATH,
  SECOND_LOADER_PATH,
} from '@keelos/proto/boot-entry.ts';
import type { BundleManifest } from '@keelos/proto/bundle.ts';
import { TRUST_FILE } from '@keelos/proto/bundle.ts';
import { rawPublicKey, signManifest } from '@keelos/proto/bundle-signature.ts';
import {
  EMPTY_TRUST,
  encodeManifest,
  encodeTail,
  encodeTrust,
  keyIdOf,
} from '@keelos/proto/bundle-writer.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { nextEntry } from '@keelos/ts-agent/core/boot-state.ts';
import type { CheckResult } from '@keelos/ts-agent/core/health-history.ts';
import { LOADER_SELECTED } from '@keelos/ts-agent/core/loader-variables.ts';
import { BootLadder } from '@keelos/ts-agent/shell/boot-ladder.ts';
import { BootState } from '@keelos/ts-agent/shell/boot-state.ts';
import { Committer } from '@keelos/ts-agent/shell/committer.ts';
import { Esp } from '@keelos/ts-agent/shell/esp.ts';
import { type EnginePorts, UpdateEngine } from '@keelos/ts-agent/shell/update-engine.ts';
import { updatePorts } from '@keelos/ts-agent/shell/update-node.ts';
import type { CommitterPorts } from '@keelos/ts-agent/shell/update-ports.ts';
import type { UpdateSource } from '@keelos/ts-agent/sys/update-source.ts';
import { FakeWorld } from './agent-fixture.ts';
import { setBootVariables } from './boot-disk.ts';
import {
  plainVerifier,
  setDisk,
  type TestRoot,
  testEsp,
  testKernelImage,
  testRoot,
} from './slot-disk.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const { privateKey: strangerKey } = generateKeyPairSync('ed25519');
const raw = rawPublicKey(privateKey);
const KEY = { id: keyIdOf(raw), name: 'release', notAfter: 0, publicKey: raw.toString('hex') };
const reader = BundleReader.create();
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** A bundle and what it is made of. */
export interface MadeBundle {
  readonly bytes: Buffer;
  readonly manifest: BundleManifest;
  readonly root: TestRoot;
  readonly sha256: string;
}

/** A signed bundle around a root. */
export function madeBundle(
  root: TestRoot,
  of: {
    readonly version?: string;
    readonly change?: (manifest: BundleManifest) => BundleManifest;
    readonly kernelImage?: Buffer;
    readonly isStranger?: boolean;
  } = {},
): MadeBundle {
  const uki = of.kernelImage ?? testKernelImage(root.commandLine);
  const dataBytes = root.dataBlocks * VERITY_BLOCK_BYTES;
  const { rootHash, salt, bytes } = root;
  const plain: BundleManifest = {
    format: 'keelos-bundle/1',
    version: of.version ?? '0.2.0',
    arch: 'x86_64',
    variant: 'node',
    buildEpochSeconds: 1_793_491_200,
    epoch: 2,
    kernelVersion: '6.12.117',
    root: { offset: 0, size: bytes.length, sha256: sha256(bytes), dataBytes, rootHash, salt },
    uki: { offset: bytes.length, size: uki.length, sha256: sha256(uki) },
  };
  const manifest = of.change?.(plain) ?? plain;
  const key = of.isStranger === true ? strangerKey : privateKey;
  const signature = signManifest(encodeManifest(manifest), key);
  const whole = Buffer.concat([bytes, uki, encodeTail(manifest, [signature])]);
  return { bytes: whole, manifest, root, sha256: sha256(whole) };
}

/** A source in memory. `onRead` may throw, or wait. */
export class MemorySource implements UpdateSource {
  readonly #bytes: Uint8Array;
  readonly #pieceBytes: number;
  /** Ranges that were asked for: [from, length]. */
  readonly ranges: [number, number][] = [];
  isClosed = false;
  onPiece: (offsetBytes: number, signal: AbortSignal) => Promise<void> | void = () => undefined;

  constructor(bytes: Uint8Array, pieceBytes = 65_536) {
    this.#bytes = bytes;
    this.#pieceBytes = pieceBytes;
  }

  async open() {
    return { sizeBytes: this.#bytes.length, name: 'memory' };
  }

  async *read(range: { offsetBytes: number; lengthBytes: number }, signal: AbortSignal) {
    this.ranges.push([range.offsetBytes, range.lengthBytes]);
    const end = range.offsetBytes + range.lengthBytes;
    for (let at = range.offsetBytes; at < end; at += this.#pieceBytes) {
      signal.throwIfAborted();
      await this.onPiece(at, signal);
      yield this.#bytes.subarray(at, Math.min(end, at + this.#pieceBytes));
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

/** The node. Each {@link UpdateWorld.boot} is a start of the machine. */
export class UpdateWorld {
  readonly world = new FakeWorld();
  readonly #roots = new Map<string, { readonly root: TestRoot; readonly version: string }>();
  #boots = 1;
  #bootMs = 0;
  /** What the health checks answer. */
  health: readonly CheckResult[] = [];
  /** Called at each wait of the committer, after the clock went on. */
  onWait: () => void = () => undefined;
  apiProblem = '';
  ports!: EnginePorts & CommitterPorts;
  bootState!: BootState;
  engine!: UpdateEngine;
  committer!: Committer;

  constructor(running: TestRoot = testRoot(1, 130), trustEpoch = 2) {
    setDisk(this.world, { running });
    const { rootHash, commandLine } = running;
    const uki = kernelImagePath(rootHash);
    const esp = testEsp([
      { path: LOADER_PATH, data: Buffer.alloc(9) },
      { path: SECOND_LOADER_PATH, data: Buffer.alloc(9) },
      { path: uki, data: testKernelImage(commandLine) },
      {
        path: `${ENTRIES_DIR}/keel-1+8-1.conf`,
        data: Buffer.from(entryText({ version: '0.1.0', uki })),
      },
    ]);
    this.world.files.files.set('/dev/vda1', esp);
    setBootVariables(this.world.variables, rootHash);
    const trust = { ...EMPTY_TRUST, epoch: trustEpoch, keys: [KEY] };
    this.world.files.files.set(TRUST_FILE, encodeTrust(trust));
    this.know(running, '0.1.0');
    this.world.verifyImage = plainVerifier(this.world);
    this.startAgent();
  }

  /** Tells the loader of a root that may be booted. */
  know(root: TestRoot, version: string): void {
    this.#roots.set(root.rootHash, { root, version });
  }

  /** A new agent in the same boot. */
  startAgent(): void {
    const { clock } = this.world;
    const ports = {
      ...this.world.ports(),
      clock: { nowMs: clock.nowMs, monotonicMs: () => clock.monotonicMs() - this.#bootMs },
      readBundle: async (tail: Uint8Array, size: number) => (await reader).readTail(tail, size),
      readTrust: async (bytes: Uint8Array) => (await reader).readTrust(bytes),
    };
    this.bootState = new BootState(ports);
    const fakeHealth = { results: async () => this.health } as never;
    const identity = { fingerprint: 'f' } as never;
    this.ports = {
      ...updatePorts({
        ports,
        bootState: this.bootState,
        bootLadder: new BootLadder(ports, this.bootState),
        health: fakeHealth,
        identity,
        apiPort: 1,
      }),
      apiProblem: async () => this.apiProblem,
      wait: async (ms, signal) => {
        signal.throwIfAborted();
        this.world.clock.advance(ms);
        this.onWait();
      },
    };
    this.engine = new UpdateEngine(this.ports);
    this.committer = new Committer(this.ports, this.engine);
  }

  /** Starts the machine: the loader takes its entry and spends a try, if it can. Returns the version that runs. */
  async boot({ isCounting = true } = {}): Promise<string> {
    const { files } = this.world;
    const entry = nextEntry(await this.bootState.read());
    assert.ok(entry?.rootHash !== undefined, 'nothing to boot');
    const newName = entryFileName(afterOneTry(entry.name));
    const isSpent = isCounting && newName !== entry.fileName.toLowerCase();
    if (isSpent) await this.renameEntry(entry.fileName, newName);
    const known = this.#roots.get(entry.rootHash);
    assert.ok(known, `no such root ${entry.rootHash}`);
    const slot = await this.#slotNamed(known.root.rootHash);
    for (const name of ['vda2', 'vda3']) files.files.delete(`/sys/block/dm-0/slaves/${name}`);
    files.files.set(`/sys/block/dm-0/slaves/${slot}`, '');
    files.files.set('/proc/cmdline', `${known.root.commandLine}\n`);
    files.files.set('/etc/os-release', `ID=keelos\nVERSION_ID=${known.version}\nBUILD_EPOCH=1\n`);
    this.#boots += 1;
    this.#bootMs = this.world.clock.monotonicMs();
    files.files.set('/proc/sys/kernel/random/boot_id', `b-${this.#boots}\n`);
    const selected = Buffer.from(`${entry.fileName}\0`, 'utf16le');
    this.world.variables.variables.set(LOADER_SELECTED, { attributes: 6, data: selected });
    this.world.reboot();
    this.startAgent();
    return known.version;
  }

  async #slotNamed(rootHash: string): Promise<string> {
    const { running, other } = await this.bootState.read();
    const found = [running, other].find(({ guid }) => guid === slotGuid(rootHash));
    assert.ok(found, 'no slot has the GUID that the kernel looks for');
    return found.device.replace('/dev/', '');
  }

  /** The EFI system partition, for what others do to it. */
  async esp(): Promise<Esp> {
    return Esp.open(await this.world.ports().openDevice('/dev/vda1', 'write'));
  }

  /** Renames an entry, as boots that left no other trace would have. */
  async renameEntry(from: string, to: string): Promise<void> {
    await (await this.esp()).rename(`${ENTRIES_DIR}/${from}`, to);
  }

  /** Names of the loader's entries, the next one first. */
  async entries(): Promise<readonly string[]> {
    return (await this.bootState.read()).entries.map(({ fileName }) => fileName);
  }

  /** True once PID 1 was asked for a reboot. */
  get isRebootAsked(): boolean {
    return this.world.init.requests.some(({ op }) => op === 'reboot');
  }
}

/** A check that fails. */
export function failingCheck(name: string): CheckResult {
  return { name, state: 'failing', message: `${name} is broken`, remedy: '', sinceMs: 1_000 };
}
