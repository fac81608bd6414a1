/// <reference path="./web-assembly.d.ts" />
/** One instance of the patch coder (as-core/assembly/delta-coder.ts), and how it fetches old bytes. */
import { CoreError, expectOk, Status } from './status.ts';

/** What the module exports. */
export interface PatchExports {
  readonly memory: WebAssembly.Memory;
  beginEncoder(
    oldBytes: number,
    newBytes: number,
    oldRegions: number,
    newRegions: number,
    bases: number,
    copies: number,
    spans: number,
    crc: number,
  ): number;
  beginDecoder(oldBytes: number): void;
  run(): number;
  wants(): number;
  piecePointer(): number;
  pieceBytes(): number;
  pieceTaken(): number;
  checksum(): number;
  streamPointer(): number;
  streamBytes(): number;
  streamBytesMax(): number;
  streamTaken(): void;
  makeRoom(): number;
  streamGrew(count: number, last: number): number;
  copiesPointer(): number;
  spansPointer(): number;
  oldRegionsPointer(): number;
  newRegionsPointer(): number;
  basesPointer(): number;
}

/** What the coder stopped for. */
export const Wants = { stream: 1, piece: 2, nothing: 3 } as const;

/** Largest side, in bytes: places have 32 bits. */
export const SIDE_BYTES_MAX = 2 ** 32 - 1;

/** Puts the old bytes from `offset` on into `target`, all of it. */
export type ReadOld = (offset: number, target: Uint8Array) => void;

/** See the head of this file. Its memory is fixed. */
export class PatchInstance {
  readonly exports: PatchExports;
  readonly memory: Uint8Array;
  #failure: unknown;

  /** @param module of `compileModule('delta-coder')` */
  constructor(module: WebAssembly.Module, readOld: ReadOld) {
    const host = {
      readOld: (place: number, pointer: number, length: number) => {
        const start = pointer >>> 0;
        try {
          readOld(place >>> 0, this.memory.subarray(start, start + length));
        } catch (error) {
          this.#failure = error;
          return Status.wrongState;
        }
        return Status.ok;
      },
    };
    const instance = new WebAssembly.Instance(module, { host });
    this.exports = instance.exports as unknown as PatchExports;
    // The memory never grows, so the view stays valid.
    this.memory = new Uint8Array(this.exports.memory.buffer);
  }

  /**
   * Goes on until the coder wants something, and answers what.
   *
   * @throws CoreError when the stream is at fault
   * @throws what `readOld` has thrown
   */
  run(action: string): number {
    let status: number;
    try {
      status = this.exports.run();
    } catch (cause) {
      const error = new CoreError(Status.deltaTrap, `Cannot ${action}: the coder stopped itself`);
      error.cause = cause;
      throw error;
    }
    if (this.#failure !== undefined) throw this.#failure;
    expectOk(status, action);
    return this.exports.wants();
  }

  /** A view of the memory from `pointer` on. */
  view(pointer: number, length: number): Uint8Array {
    return this.memory.subarray(pointer >>> 0, (pointer >>> 0) + length);
  }
}
