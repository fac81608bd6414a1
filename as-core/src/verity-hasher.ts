/**
 * Digests of dm-verity blocks in WebAssembly, four at a time: SHA-256 of salt and block (format 1 of
 * https://docs.kernel.org/admin-guide/device-mapper/verity.html, blocks of 4096 bytes).
 */
/// <reference path="./web-assembly.d.ts" />
import { readSync } from 'node:fs';
import { expectOk, Status } from './status.ts';

interface Exports {
  readonly memory: WebAssembly.Memory;
  inputPointer(): number;
  inputBlocksMax(): number;
  saltPointer(): number;
  digestsPointer(): number;
  setSalt(length: number): number;
  hashBlocks(count: number): number;
}

/** Bytes of a block of data, and of a block of the hash tree. */
export const BLOCK_BYTES = 4096;
/** Bytes of a digest. */
export const DIGEST_BYTES = 32;
/** The kernel and veritysetup take no longer salt. */
export const SALT_BYTES_MAX = 256;

/** Blocks of a file. */
export interface FileBlocks {
  /** Open for reading. */
  readonly fd: number;
  /** Where the first block begins. */
  readonly offsetBytes: number;
  readonly count: number;
}

/** Hashes the blocks of a file with one salt. */
export interface BlockHasher {
  /** How many blocks one `read` takes. */
  readonly blocksMax: number;
  /**
   * Another salt for all blocks from now on.
   *
   * @throws RangeError for more than 256 bytes
   */
  setSalt(salt: Uint8Array): void;
  /**
   * Reads blocks of a file, for `hashRead`.
   *
   * @param blocks at most `blocksMax`
   * @param see gets the bytes in order, in one or more pieces, and must keep nothing of them
   * @throws CoreError "verity-image-too-short" when the file ends before the last block
   * @throws RangeError for too many blocks
   */
  read(blocks: FileBlocks, see?: (bytes: Uint8Array) => void): void;
  /**
   * Writes the digests of the blocks that were read last to the beginning of `target`, 32 bytes each.
   *
   * @throws RangeError when `target` is too small
   */
  hashRead(target: Uint8Array): void;
}

/** Hashes blocks with one salt, four at a time. Holds 384 KiB. */
export class VerityHasher implements BlockHasher {
  readonly blocksMax: number;
  readonly #exports: Exports;
  readonly #input: Uint8Array;
  readonly #digests: Uint8Array;
  #readBlocks = 0;

  /**
   * @param module of `compileModule('verity')`
   * @throws RangeError for a salt of more than 256 bytes
   */
  constructor(module: WebAssembly.Module, salt: Uint8Array) {
    this.#exports = new WebAssembly.Instance(module).exports as unknown as Exports;
    this.blocksMax = this.#exports.inputBlocksMax();
    // The memory never grows, so the views stay valid.
    this.#input = this.#area(this.#exports.inputPointer(), this.blocksMax * BLOCK_BYTES);
    this.#digests = this.#area(this.#exports.digestsPointer(), this.blocksMax * DIGEST_BYTES);
    this.setSalt(salt);
  }

  setSalt(salt: Uint8Array): void {
    if (salt.length <= SALT_BYTES_MAX) {
      this.#area(this.#exports.saltPointer(), SALT_BYTES_MAX).set(salt);
    }
    expectOk(this.#exports.setSalt(salt.length), `use a salt of ${salt.length} bytes`);
  }

  /**
   * Digests of `blocks`, 32 bytes each, in order.
   *
   * @param blocks any number of whole blocks
   * @throws RangeError for a part of a block
   */
  hash(blocks: Uint8Array): Uint8Array {
    if (blocks.length % BLOCK_BYTES !== 0) {
      throw new RangeError(`Cannot hash ${blocks.length} bytes: not whole blocks`);
    }
    const digests = new Uint8Array((blocks.length / BLOCK_BYTES) * DIGEST_BYTES);
    for (let offset = 0; offset < blocks.length; offset += this.#input.length) {
      const piece = blocks.subarray(offset, offset + this.#input.length);
      this.#input.set(piece);
      this.#hashInput(
        piece.length / BLOCK_BYTES,
        digests.subarray((offset / BLOCK_BYTES) * DIGEST_BYTES),
      );
    }
    return digests;
  }

  /** Straight into the module's memory, so `see` gets all in one piece. */
  read({ fd, offsetBytes, count }: FileBlocks, see?: (bytes: Uint8Array) => void): void {
    if (count > this.blocksMax) throw new RangeError(`Cannot read ${count} blocks at a time`);
    this.#readBlocks = 0;
    const bytes = this.#input.subarray(0, count * BLOCK_BYTES);
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(fd, bytes, done, bytes.length - done, offsetBytes + done);
      if (read === 0) expectOk(Status.verityImageTooShort, `read at byte ${offsetBytes + done}`);
      done += read;
    }
    this.#readBlocks = count;
    see?.(bytes);
  }

  hashRead(target: Uint8Array): void {
    this.#hashInput(this.#readBlocks, target);
  }

  #hashInput(count: number, target: Uint8Array): void {
    expectOk(this.#exports.hashBlocks(count), `hash ${count} blocks`);
    target.set(this.#digests.subarray(0, count * DIGEST_BYTES));
  }

  #area(start: number, length: number): Uint8Array {
    return new Uint8Array(this.#exports.memory.buffer, start, length);
  }
}
