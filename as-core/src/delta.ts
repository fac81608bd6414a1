/// <reference path="./web-assembly.d.ts" />
/**
 * Reads the end of a delta and its plan, untrusted ones too, in a WebAssembly memory of 1.25 MiB. Only the one form is
 * taken (docs/reference/delta-format.md). Signatures and hashes are not checked here.
 */
import type { BundleSignature } from '@keelos/proto/bundle.ts';
import type {
  DeltaManifest,
  DeltaPart,
  DeltaSide,
  DeltaTail,
  PlanStep,
} from '@keelos/proto/delta.ts';
import { PlanKind } from '@keelos/proto/delta.ts';
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import { compileModule } from './load.ts';
import { CoreError, expectOk, Status } from './status.ts';

type Getter = () => number;
type WideGetter = () => bigint;

interface Exports {
  readonly memory: WebAssembly.Memory;
  readTail(length: number, size: bigint): number;
  openPlan(length: number): number;
  hasPlanStep(): number;
  nextPlanStep(): number;
  readonly stepKind: Getter;
  readonly stepBytes: WideGetter;
  readonly stepFrom: WideGetter;
  readonly stepTaken: WideGetter;
  readonly stepCrc: Getter;
  readonly stepBlocks: Getter;
  readonly blocksPointer: Getter;
  readonly inputPointer: Getter;
  readonly inputBytesMax: Getter;
  readonly planPointer: Getter;
  readonly cellsPointer: Getter;
  readonly manifestCell: Getter;
  readonly signaturesCell: Getter;
  manifestStart(length: number): number;
  readonly manifestLength: Getter;
  readonly signaturesRead: Getter;
  readonly faultPart: Getter;
  readonly faultAt: Getter;
}

/** What `faultPart` answers; the footer has no places of its own. */
const PARTS = ['', '', 'manifest', 'signatures', 'plan'];
const CELL_BYTES = 8;
const SIGNATURE_CELLS = 2;
const PART_CELLS = 3;
const KINDS = Object.keys(PlanKind) as readonly (keyof typeof PlanKind)[];

/** Statuses of the SquashFS reader begin here. */
const SQUASHFS_MIN = Status.squashfsReadFailed;
/** Statuses of the decoder. */
const ZSTD: readonly number[] = Object.entries(Status).flatMap(([name, status]) =>
  name.startsWith('zstd') ? [status] : [],
);

/** Statuses that are another error than "malformed". */
const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [Status.deltaTruncated, 'E_DELTA_DAMAGED'],
  [Status.deltaVersion, 'E_DELTA_VERSION'],
  [Status.deltaEncoder, 'E_DELTA_ENCODER'],
  [Status.deltaPieces, 'E_DELTA_SOURCE'],
  [Status.deltaPatchContent, 'E_DELTA_DAMAGED'],
]);

/** Reads one delta after the other. */
export class DeltaReader {
  readonly #module: WebAssembly.Module;
  #exports: Exports;

  /** @param module of `compileModule('delta')` */
  constructor(module: WebAssembly.Module) {
    this.#module = module;
    this.#exports = this.#instantiate();
  }

  static async create(): Promise<DeltaReader> {
    return new DeltaReader(await compileModule('delta'));
  }

  /**
   * @param tail the last bytes of a delta: all of it, or TAIL_BYTES_MAX of bundle.ts
   * @throws KeelError E_DELTA_MALFORMED, E_DELTA_DAMAGED (cut short), E_DELTA_VERSION, E_DELTA_ENCODER
   * @throws RangeError when `tail` has another length
   */
  readTail(tail: Uint8Array, sizeBytes: number): DeltaTail {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new RangeError(`${sizeBytes}`);
    if (tail.length > this.#exports.inputBytesMax()) throw new RangeError(`${tail.length} bytes`);
    this.#put(this.#exports.inputPointer(), tail);
    this.#run((exports) => exports.readTail(tail.length, BigInt(sizeBytes)));
    const start = this.#exports.manifestStart(tail.length);
    return {
      manifest: this.#manifest(),
      manifestBytes: tail.slice(start, start + this.#exports.manifestLength()),
      signatures: this.#signatures(),
    };
  }

  /**
   * The steps of the plan of the delta whose end was read last. All of them were judged before the first one comes.
   *
   * @param plan the part of that name
   * @throws KeelError E_DELTA_MALFORMED
   * @throws RangeError when the plan has another length than the manifest says
   */
  readPlan(plan: Uint8Array): Iterable<PlanStep> {
    this.#put(this.#exports.planPointer(), plan);
    this.#run((exports) => exports.openPlan(plan.length));
    return this.#steps();
  }

  *#steps(): Generator<PlanStep> {
    while (this.#exports.hasPlanStep() !== 0) {
      this.#run((exports) => exports.nextPlanStep());
      yield this.#step();
    }
  }

  #step(): PlanStep {
    const { exports } = { exports: this.#exports };
    const kind = KINDS[exports.stepKind()] ?? 'zero';
    const bytes = Number(exports.stepBytes());
    const crc32 = exports.stepCrc() >>> 0;
    if (kind === 'copy') return { kind, bytes, from: Number(exports.stepFrom()), crc32 };
    if (kind === 'kernel') {
      return { kind, bytes, unpackedBytes: Number(exports.stepTaken()), crc32 };
    }
    if (kind !== 'data' && kind !== 'metadata') return { kind, bytes, crc32 };
    const { buffer } = exports.memory;
    const blocks = [...new Uint32Array(buffer, exports.blocksPointer(), exports.stepBlocks())];
    return { kind, bytes, blocks, crc32 };
  }

  #manifest(): DeltaManifest {
    const first = this.#exports.manifestCell();
    const part = (index: number) => this.#part(first + 11 + index * PART_CELLS);
    return {
      blockBytes: this.#number(first),
      canary: this.#text(first + 1),
      encoder: 'zstd-1.5.7',
      format: 'keelos-delta/1',
      from: this.#text(first + 3),
      kernel: {
        canary: this.#text(first + 4),
        offset: this.#number(first + 5),
        packedBytes: this.#number(first + 6),
        unpackedBytes: this.#number(first + 7),
      },
      level: this.#number(first + 8),
      limits: { memoryBytes: this.#number(first + 9), runBytes: this.#number(first + 10) },
      parts: {
        literals: part(0),
        patch: part(1),
        plan: part(2),
        targetManifest: part(3),
        targetSignatures: part(4),
      },
      patchedBytes: this.#number(first + 26),
      source: this.#side(first + 27),
      target: this.#side(first + 32),
      to: this.#text(first + 37),
    };
  }

  #part(cell: number): DeltaPart {
    return {
      offset: this.#number(cell),
      sha256: this.#text(cell + 1),
      size: this.#number(cell + 2),
    };
  }

  #side(cell: number): DeltaSide {
    return {
      dataBytes: this.#number(cell),
      rootHash: this.#text(cell + 1),
      sha256: this.#text(cell + 2),
      ukiBytes: this.#number(cell + 3),
      ukiSha256: this.#text(cell + 4),
    };
  }

  #signatures(): BundleSignature[] {
    const first = this.#exports.signaturesCell();
    return Array.from({ length: this.#exports.signaturesRead() }, (_, index) => {
      const cell = first + index * SIGNATURE_CELLS;
      return { keyId: this.#text(cell), signature: this.#text(cell + 1) };
    });
  }

  #instantiate(): Exports {
    return new WebAssembly.Instance(this.#module).exports as unknown as Exports;
  }

  #put(pointer: number, bytes: Uint8Array): void {
    const { buffer } = this.#exports.memory;
    if (bytes.length > buffer.byteLength - pointer) throw new RangeError(`${bytes.length} bytes`);
    new Uint8Array(buffer, pointer, bytes.length).set(bytes);
  }

  #run(call: (exports: Exports) => number): void {
    const exports = this.#exports;
    let status: number;
    try {
      status = call(exports);
    } catch (cause) {
      this.#exports = this.#instantiate();
      throw deltaError(Status.deltaTrap, '', cause);
    }
    if (status === Status.ok) return;
    const part = PARTS[exports.faultPart()] ?? '';
    throw deltaError(status, part === '' ? '' : ` (${part}, byte ${exports.faultAt()})`);
  }

  #text(cell: number): string {
    const view = this.#cell(cell);
    const [start, length] = [view.getUint32(0, true), view.getUint32(4, true)];
    const { memory, inputPointer } = this.#exports;
    return Buffer.from(memory.buffer, inputPointer() + start, length).toString('latin1');
  }

  #number(cell: number): number {
    return Number(this.#cell(cell).getBigUint64(0, true));
  }

  #cell(cell: number): DataView {
    const { memory, cellsPointer } = this.#exports;
    return new DataView(memory.buffer, cellsPointer() + cell * CELL_BYTES, CELL_BYTES);
  }
}

/** The error for a status that is not "ok": a KeelError E_DELTA_… for bad data, a RangeError for a caller's mistake. */
export function deltaError(status: number, place = '', given?: unknown): Error {
  try {
    expectOk(status, `read delta${place}`);
  } catch (cause) {
    return cause instanceof CoreError ? deltaRefusal(cause, given) : (cause as Error);
  }
  return new RangeError('Cannot read delta: it was not refused');
}

/** A refusal of a module as the error that it is: what no other code fits is E_DELTA_MALFORMED. */
export function deltaRefusal(refusal: CoreError, cause: unknown = refusal): KeelError {
  // A block of the source that does not unpack, or tables that make no sense: it is another one, or damaged.
  const isOfSource = refusal.status >= SQUASHFS_MIN || ZSTD.includes(refusal.status);
  const code = isOfSource ? 'E_DELTA_SOURCE' : (CODES.get(refusal.status) ?? 'E_DELTA_MALFORMED');
  const details = { reason: refusal.code };
  return new KeelError(code, refusal.message, { cause, details });
}
