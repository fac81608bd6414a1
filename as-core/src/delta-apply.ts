/// <reference path="./web-assembly.d.ts" />
/**
 * Applies a delta: makes the target out of the source, step by step, in bounded memory. The generator proves each delta
 * with it, and a node installs with it. Every step is compared with its CRC-32, the whole with the hashes of the target.
 */
import { crc32 } from 'node:zlib';
import type { PlanStep } from '@keelos/proto/delta.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { deltaRefusal } from './delta.ts';
import {
  type DeltaSource,
  demandSource,
  type KernelScratch,
  unpackSourceKernel,
} from './delta-apply-source.ts';
import type { DeltaFile } from './delta-file.ts';
import type { LayoutModules } from './delta-layout.ts';
import { compileLayout, layoutOf, withKernelImage } from './delta-layout.ts';
import {
  dataRun,
  demandEncoder,
  demandKernelEncoder,
  metadataRun,
  type Packer,
} from './delta-pack.ts';
import { compilePatch, PatchBytes } from './delta-patched.ts';
import { UnpackedSource } from './delta-source.ts';
import { DeltaTarget, type TargetPart, type WriteTarget } from './delta-target.ts';
import { type PackKernel, packKernel, piecesOf } from './kernel-packing.ts';
import { compileModule } from './load.ts';
import { CoreError } from './status.ts';

/** Bytes that are copied at a time. */
const PIECE_BYTES = 262_144;
/** Pieces that a kernel image is cut into. */
export const UKI_PIECE_BYTES = 65_536;

/** Compiled modules that {@link applyDelta} needs. */
export interface ApplyModules {
  readonly layout: LayoutModules;
  readonly patch: WebAssembly.Module;
  readonly verity: WebAssembly.Module;
}

/** Compiles them. */
export async function compileApply(): Promise<ApplyModules> {
  const [layout, patch, verity] = await Promise.all([
    compileLayout(),
    compilePatch(),
    compileModule('verity'),
  ]);
  return { layout, patch, verity };
}

/** What an apply that was cut off has left. */
export interface KeptBytes {
  /** Bytes of data that may be there, and of the kernel image. Whether they are right is looked at. */
  readonly dataBytes: number;
  readonly ukiBytes: number;
  read(part: TargetPart, offset: number, target: Uint8Array): void;
}

/** How a delta is applied. */
export interface ApplyOptions {
  readonly delta: DeltaFile;
  readonly source: DeltaSource;
  readonly write: WriteTarget;
  readonly packer: Packer;
  /** Packs the kernel; absent: it is packed here. */
  readonly packKernel?: PackKernel | undefined;
  /** Absent: a delta that unpacks a kernel is refused. */
  readonly scratch?: KernelScratch | undefined;
  readonly modules: ApplyModules;
  readonly kept?: KeptBytes | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of data and kernel image that are done. */
  readonly onProgress?: ((doneBytes: number) => void) | undefined;
}

/** What was done: bytes of the target by how they came to be. */
export interface ApplyReport {
  readonly copiedBytes: number;
  readonly packedBytes: number;
  readonly rawBytes: number;
  readonly literalBytes: number;
  readonly zeroBytes: number;
  /** Bytes that were there already; they count above too. */
  readonly keptBytes: number;
}

/**
 * Makes the target. When this returns, all of it was given to `write`, and has the hashes of the target.
 *
 * Nothing is given to `write` before the source, the parts, the encoder and the plan were found to be right. The
 * signatures are not looked at: the caller has judged `delta`.
 *
 * @throws KeelError E_DELTA_SOURCE, E_DELTA_DAMAGED, E_DELTA_ENCODER, E_DELTA_MALFORMED, E_DELTA_VERSION
 */
export async function applyDelta(options: ApplyOptions): Promise<ApplyReport> {
  try {
    return await apply(options);
  } catch (error) {
    throw error instanceof CoreError ? deltaRefusal(error) : error;
  }
}

async function apply(options: ApplyOptions): Promise<ApplyReport> {
  const { delta, source, packer, modules } = options;
  const { manifest } = delta;
  demandSource(source, manifest);
  delta.checkParts();
  await demandEncoder(packer, manifest);
  await demandKernelEncoder(manifest);
  const plan = delta.readPlan();
  const { dataBytes, ukiBytes: bytes } = manifest.source;
  const layout = layoutOf(modules.layout, { sizeBytes: dataBytes, read: source.read });
  const { kernel } = manifest;
  await unpackSourceKernel(source, { manifest, scratch: options.scratch });
  const unpacked = new UnpackedSource({
    layout: withKernelImage(layout, { bytes, pieceBytes: UKI_PIECE_BYTES, kernel }),
    decoder: modules.layout.decoder,
    read: source.read,
    readKernel: options.scratch?.read,
  });
  const patch = new PatchBytes({ delta, unpacked, module: modules.patch });
  const target = new DeltaTarget({
    manifest,
    tail: delta.target,
    verity: modules.verity,
    write: options.write,
  });
  return new Applying(options, { patch, target }).run(plan);
}

/** A run that is being packed. */
interface PendingRun {
  readonly step: PlanStep;
  readonly bytes: Promise<Uint8Array>;
}

/** One apply. */
class Applying {
  readonly #options: ApplyOptions;
  readonly #patch: PatchBytes;
  readonly #target: DeltaTarget;
  readonly #pending: PendingRun[] = [];
  /** Memory of runs that are packed: one for each that is at work. */
  readonly #runs: Uint8Array[] = [];
  /** What goes through in pieces. */
  readonly #memory = new Uint8Array(PIECE_BYTES);
  readonly #counts = { copy: 0, raw: 0, data: 0, metadata: 0, literal: 0, zero: 0, kernel: 0 };
  #literalPlace = 0;
  #keptBytes = 0;
  /** Place behind the last step that was begun; the target's own is behind the last that is done. */
  #place = 0;

  constructor(
    options: ApplyOptions,
    { patch, target }: { readonly patch: PatchBytes; readonly target: DeltaTarget },
  ) {
    this.#options = options;
    this.#patch = patch;
    this.#target = target;
  }

  async run(plan: Iterable<PlanStep>): Promise<ApplyReport> {
    for (const step of plan) {
      this.#options.signal?.throwIfAborted();
      await this.#begin(step);
      this.#counts[step.kind] += step.bytes;
      this.#place += step.bytes;
    }
    await this.#settle(0);
    this.#patch.close();
    this.#target.finish();
    const { copy, raw, data, metadata, literal, zero, kernel } = this.#counts;
    return {
      copiedBytes: copy,
      packedBytes: data + metadata + kernel,
      rawBytes: raw,
      literalBytes: literal,
      zeroBytes: zero,
      keptBytes: this.#keptBytes,
    };
  }

  async #begin(step: PlanStep): Promise<void> {
    if (this.#isKept(step)) {
      await this.#settle(0);
      return this.#keep(step);
    }
    if (step.kind === 'data' || step.kind === 'metadata') {
      const bytes = this.#pack(step);
      // Should it fail while an earlier run is waited for, or behind another failure: it is heard of in its turn, or not.
      bytes.catch(() => undefined);
      this.#pending.push({ step, bytes });
      return this.#settle(this.#options.packer.lanes);
    }
    await this.#settle(0);
    await (step.kind === 'kernel' ? this.#packKernel(step) : this.#stream(step));
  }

  /** Writes runs, until at most so many are not done. */
  async #settle(pendingMax: number): Promise<void> {
    while (this.#pending.length > pendingMax) {
      const [first] = this.#pending;
      if (first === undefined) return;
      const bytes = await first.bytes;
      this.#pending.shift();
      const { step } = first;
      if (bytes.length !== step.bytes) throw this.#damaged(step);
      this.#compare(step, crc32(bytes));
      await this.#put(bytes);
    }
  }

  async #pack(step: PlanStep & { readonly kind: 'data' | 'metadata' }): Promise<Uint8Array> {
    const memory = this.#runs.pop() ?? new Uint8Array(this.#options.delta.manifest.limits.runBytes);
    let end = 0;
    const blocks = step.blocks.map((length) => {
      end += length;
      return memory.subarray(end - length, end);
    });
    this.#patch.read(memory.subarray(0, end));
    const frames = await this.#options.packer.pack(blocks, this.#options.delta.manifest.level);
    const bytes = step.kind === 'data' ? dataRun(blocks, frames) : metadataRun(blocks, frames);
    this.#runs.push(memory);
    return bytes;
  }

  /** The kernel is packed as a stream, into the scratch. It goes out when all of it is right, as a run does. */
  async #packKernel(step: PlanStep & { readonly kind: 'kernel' }): Promise<void> {
    const { packKernel: pack = packKernel, scratch, delta, signal } = this.#options;
    if (scratch === undefined) throw new TypeError('there is no room for a kernel');
    const content = piecesOf(step.unpackedBytes, (_, bytes) => this.#patch.read(bytes));
    const start = delta.manifest.kernel.unpackedBytes + this.#counts.kernel;
    let [crc, madeBytes] = [0, 0];
    for await (const bytes of pack(content, step.unpackedBytes)) {
      signal?.throwIfAborted();
      madeBytes += bytes.length;
      if (madeBytes > step.bytes) throw this.#damaged(step);
      crc = crc32(bytes, crc);
      scratch.write(bytes);
    }
    if (madeBytes !== step.bytes) throw this.#damaged(step);
    this.#compare(step, crc);
    for (const bytes of piecesOf(madeBytes, (at, piece) => scratch.read(start + at, piece))) {
      await this.#put(bytes);
    }
  }

  /** What needs no packing goes through in pieces. */
  async #stream(step: PlanStep): Promise<void> {
    let crc = 0;
    for (let done = 0; done < step.bytes; ) {
      const length = Math.min(PIECE_BYTES, step.bytes - done);
      const bytes = this.#piece(step, done, length);
      crc = crc32(bytes, crc);
      // The last piece only when the whole step is right: what was written before is made anew after a cut.
      if (done + length === step.bytes) this.#compare(step, crc);
      await this.#put(bytes);
      done += length;
    }
  }

  #piece(step: PlanStep, done: number, length: number): Uint8Array {
    const bytes = this.#memory.subarray(0, length);
    if (step.kind === 'raw') this.#patch.read(bytes);
    if (step.kind === 'zero') bytes.fill(0);
    if (step.kind === 'copy') this.#options.source.read(step.from + done, bytes);
    if (step.kind === 'literal') {
      this.#options.delta.readIn('literals', this.#literalPlace, bytes);
      this.#literalPlace += length;
    }
    return bytes;
  }

  /** Whether an earlier apply has made this step, and made it right. */
  #isKept(step: PlanStep): boolean {
    const { kept } = this.#options;
    if (kept === undefined) return false;
    const { part, offset } = this.#target.partAt(this.#place);
    const end = part === 'root' ? kept.dataBytes : kept.ukiBytes;
    if (step.bytes > end - offset) return false;
    let crc = 0;
    for (const bytes of this.#keptPieces(kept, step)) crc = crc32(bytes, crc);
    return crc === step.crc32;
  }

  async #keep(step: PlanStep): Promise<void> {
    const { kept } = this.#options;
    if (kept === undefined) return;
    for (const bytes of this.#keptPieces(kept, step)) await this.#put(bytes, { isKept: true });
    this.#keptBytes += step.bytes;
    if (step.kind === 'literal') this.#literalPlace += step.bytes;
    if (step.kind === 'raw') this.#patch.pass(step.bytes);
    if (step.kind === 'kernel') this.#patch.pass(step.unpackedBytes);
    if (step.kind === 'data' || step.kind === 'metadata') {
      this.#patch.pass(step.blocks.reduce((sum, length) => sum + length, 0));
    }
  }

  *#keptPieces(kept: KeptBytes, step: PlanStep): Generator<Uint8Array> {
    const { part, offset } = this.#target.partAt(this.#place);
    for (let done = 0; done < step.bytes; done += PIECE_BYTES) {
      const bytes = this.#memory.subarray(0, Math.min(PIECE_BYTES, step.bytes - done));
      kept.read(part, offset + done, bytes);
      yield bytes;
    }
  }

  async #put(bytes: Uint8Array, how: { readonly isKept?: boolean } = {}): Promise<void> {
    await this.#target.put(bytes, how);
    this.#options.onProgress?.(this.#target.place);
  }

  #compare(step: PlanStep, crc: number): void {
    if (crc !== step.crc32) throw this.#damaged(step);
  }

  #damaged(step: PlanStep): KeelError {
    const place = this.#target.place;
    const reason = `the step (${step.kind}) at byte ${place} makes other bytes than it must`;
    return new KeelError('E_DELTA_DAMAGED', `Cannot apply delta: ${reason}`, {
      details: { reason: 'delta-step' },
    });
  }
}
