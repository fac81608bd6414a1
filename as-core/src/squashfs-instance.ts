/// <reference path="./web-assembly.d.ts" />
/**
 * One instance of the SquashFS module over one image: gives it its two imports, and turns everything that it may answer
 * into a result or an error. After a trap a fresh instance takes its place.
 */
import { readSync } from 'node:fs';
import { CoreError, expectOk, Status } from './status.ts';
import type { ZstdDecoder } from './zstd.ts';

type Getter = () => number;
type WideGetter = () => bigint;

/** What the module exports: see as-core/assembly/squashfs.ts. */
export interface SquashfsExports {
  readonly memory: WebAssembly.Memory;
  open(size: bigint, work: bigint): number;
  begin(bytes: bigint): number;
  verify(): number;
  readInodeAt(reference: bigint): number;
  openDirectory(): number;
  hasDirectoryEntry(): number;
  nextDirectoryEntry(): number;
  openContent(): number;
  hasPiece(): number;
  nextPiece(): number;
  openAttributes(index: number): number;
  nextAttributeOfList(): number;
  measureContent(): number;
  readonly fileBytesStored: WideGetter;
  findFragmentBlock(index: number): number;
  partEnd(part: number): bigint;
  readonly fragmentPlace: WideGetter;
  readonly fragmentBytesStored: Getter;
  readonly fragmentBlocks: Getter;
  readonly fragmentPointers: WideGetter;
  readonly exportPointers: WideGetter;
  readonly idPointers: WideGetter;
  readonly root: WideGetter;
  readonly superblockPointer: Getter;
  readonly inodePointer: Getter;
  readonly targetPointer: Getter;
  readonly listingPointer: Getter;
  readonly listingBytes: Getter;
  readonly piecePointer: Getter;
  readonly pieceBytes: Getter;
  readonly attributeNamePointer: Getter;
  readonly attributeNameBytes: Getter;
  readonly attributeValuePointer: Getter;
  readonly attributeValueBytes: Getter;
  readonly attributePrefix: Getter;
  readonly attributesToRead: Getter;
  readonly faultPlace: WideGetter;
  readonly faultInodeNumber: Getter;
  readonly filesChecked: Getter;
  readonly directoriesChecked: Getter;
  readonly symlinksChecked: Getter;
  readonly othersChecked: Getter;
  readonly blocksDecoded: WideGetter;
  readonly bytesDecoded: WideGetter;
  readonly memoryEnd: Getter;
}

/** An image in a file. */
export interface ImageSource {
  /** Open for reading. */
  readonly fd: number;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

const UNREADABLE: ReadonlySet<number> = new Set([
  Status.squashfsMetadataUnreadable,
  Status.squashfsBlockUnreadable,
  Status.squashfsFragmentUnreadable,
  Status.squashfsBlockTooLong,
]);

/** See the head of this file. */
export class SquashfsInstance {
  readonly #module: WebAssembly.Module;
  readonly #decoder: ZstdDecoder;
  readonly #source: ImageSource;
  readonly #workBytesMax: bigint;
  #exports: SquashfsExports;
  #memory: Uint8Array;
  /** Why the last read or decoding failed. */
  #cause: unknown;
  #isBroken = false;
  /** Called with the bytes of each read. */
  onRead: ((bytes: number) => void) | undefined;

  /**
   * Opens the image.
   *
   * @throws CoreError when its superblock or the tables that are read at once are malformed
   */
  constructor(options: {
    readonly module: WebAssembly.Module;
    readonly decoder: ZstdDecoder;
    readonly source: ImageSource;
    /** Most bytes that one job may read and decode. */
    readonly workBytesMax: number;
  }) {
    this.#module = options.module;
    this.#decoder = options.decoder;
    this.#source = options.source;
    this.#workBytesMax = BigInt(options.workBytesMax);
    [this.#exports, this.#memory] = this.#instantiate();
    this.#open();
  }

  #instantiate(): [SquashfsExports, Uint8Array] {
    const host = {
      read: (offset: bigint, pointer: number, length: number) =>
        this.#read(Number(offset), pointer >>> 0, length >>> 0),
      decode: (source: number, sourceLength: number, target: number, targetMax: number) =>
        this.#decode(source >>> 0, sourceLength >>> 0, target >>> 0, targetMax >>> 0),
    };
    const { exports } = new WebAssembly.Instance(this.#module, { host });
    const own = exports as unknown as SquashfsExports;
    // The memory never grows, so the view stays valid.
    return [own, new Uint8Array(own.memory.buffer)];
  }

  #open(): void {
    const size = BigInt(this.#source.sizeBytes);
    this.#call('open a SquashFS', (exports) => exports.open(size, this.#workBytesMax));
  }

  #read(offset: number, pointer: number, length: number): number {
    const { fd, offsetBytes } = this.#source;
    try {
      let done = 0;
      while (done < length) {
        const position = offsetBytes + offset + done;
        const count = readSync(fd, this.#memory, pointer + done, length - done, position);
        if (count === 0) throw new Error(`the file ends at byte ${position}`);
        done += count;
      }
    } catch (error) {
      this.#cause = error;
      return Status.squashfsReadFailed;
    }
    this.onRead?.(length);
    return Status.ok;
  }

  #decode(source: number, sourceLength: number, target: number, targetMax: number): number {
    const frame = this.#memory.subarray(source, source + sourceLength);
    const content = this.#memory.subarray(target, target + targetMax);
    const answer = this.#decoder.tryDecodeInto(frame, content);
    if (answer < 0) this.#cause = answer;
    return answer;
  }

  /** What the module exports, for calls that answer with no status. */
  get exports(): SquashfsExports {
    this.#mend();
    return this.#exports;
  }

  /** A copy of a part of the memory. */
  copy(pointer: number, length: number): Uint8Array {
    return this.#memory.slice(pointer >>> 0, (pointer >>> 0) + (length >>> 0));
  }

  /** Puts bytes into the memory. */
  put(pointer: number, bytes: Uint8Array): void {
    this.#memory.set(bytes, pointer >>> 0);
  }

  /** A part of the memory, for reading before the next call. */
  view(pointer: number, length: number): DataView {
    return new DataView(this.#memory.buffer, pointer >>> 0, length >>> 0);
  }

  /** Begins a job: what it may read and decode, in all or at most `bytes`, is counted from here on. */
  begin(bytes = Number.POSITIVE_INFINITY): void {
    const isLess = bytes < Number(this.#workBytesMax);
    const work = isLess ? BigInt(bytes) : this.#workBytesMax;
    this.run('begin', (exports) => exports.begin(work));
  }

  /**
   * Calls the module.
   *
   * @param action for the message: "Cannot <action> (inode 3, byte 120): <reason>"
   * @throws CoreError when the image is malformed
   * @throws RangeError when the call does not fit what went before
   */
  run(action: string, call: (exports: SquashfsExports) => number): void {
    this.#mend();
    this.#call(action, call);
  }

  #mend(): void {
    if (!this.#isBroken) return;
    [this.#exports, this.#memory] = this.#instantiate();
    this.#isBroken = false;
    this.#open();
  }

  #call(action: string, call: (exports: SquashfsExports) => number): void {
    this.#cause = undefined;
    let status: number;
    try {
      status = call(this.#exports);
    } catch (error) {
      // The state of the instance is unknown: the next call gets another one. That is so as well after an error of a
      // callback that came up through the module.
      this.#isBroken = true;
      const isTrap = error instanceof WebAssembly.RuntimeError || isStackOverflow(error);
      if (!isTrap) throw error;
      this.#cause = error;
      status = Status.squashfsTrap;
    }
    if (status === Status.ok) return;
    this.#fail(status, action);
  }

  #fail(status: number, action: string): never {
    const place = status === Status.squashfsTrap ? '' : ` (${this.#place()})`;
    try {
      expectOk(status, `${action}${place}`);
    } catch (error) {
      const cause = this.#causeOf(status);
      if (error instanceof CoreError && cause !== undefined) error.cause = cause;
      throw error;
    }
    throw new RangeError(`Cannot ${action}: status ${status}`);
  }

  #place(): string {
    const inode = this.#exports.faultInodeNumber() >>> 0;
    const byte = `byte ${this.#exports.faultPlace()}`;
    return inode === 0 ? byte : `inode ${inode}, ${byte}`;
  }

  #causeOf(status: number): unknown {
    if (typeof this.#cause !== 'number') return this.#cause;
    if (!UNREADABLE.has(status)) return undefined;
    try {
      expectOk(-this.#cause, 'decode a block');
    } catch (error) {
      return error;
    }
    return undefined;
  }
}

function isStackOverflow(error: unknown): boolean {
  return error instanceof RangeError && error.message.startsWith('Maximum call stack');
}
