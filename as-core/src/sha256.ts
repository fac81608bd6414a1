/**
 * SHA-256 in WebAssembly: for where node:crypto is not at hand, and as the base of the verity and bundle modules.
 *
 * node:crypto is faster wherever it exists, with and without SHA extensions of the processor.
 */
/// <reference path="./web-assembly.d.ts" />
import { compileModule } from './load.ts';
import { expectOk } from './status.ts';

interface Exports {
  readonly memory: WebAssembly.Memory;
  inputPointer(): number;
  inputBytesMax(): number;
  digestPointer(): number;
  init(): void;
  skipBlocks(blocks: bigint): number;
  update(length: number): number;
  finish(): number;
}

/** Bytes of a digest. */
export const SHA256_BYTES = 32;

/** One stream at a time; any number of streams after another. Holds 128 KiB. */
export class Sha256 {
  readonly #exports: Exports;
  readonly #input: Uint8Array;

  /** For a module of `compileModule('sha256')`; begins a stream. */
  constructor(module: WebAssembly.Module) {
    this.#exports = new WebAssembly.Instance(module).exports as unknown as Exports;
    const { memory } = this.#exports;
    // The memory never grows, so the view stays valid.
    this.#input = new Uint8Array(
      memory.buffer,
      this.#exports.inputPointer(),
      this.#exports.inputBytesMax(),
    );
    this.#exports.init();
  }

  /** Begins a new stream; what was taken so far is forgotten. */
  reset(): this {
    this.#exports.init();
    return this;
  }

  /**
   * Takes the next bytes, any number of them.
   *
   * @throws RangeError after `digest` without `reset`
   */
  update(bytes: Uint8Array): this {
    for (let offset = 0; offset < bytes.length; offset += this.#input.length) {
      const piece = bytes.subarray(offset, offset + this.#input.length);
      this.#input.set(piece);
      expectOk(this.#exports.update(piece.length), 'hash bytes');
    }
    return this;
  }

  /**
   * Ends the stream and returns its digest, 32 bytes of the caller's own.
   *
   * @throws RangeError when called twice without `reset`
   */
  digest(): Uint8Array {
    expectOk(this.#exports.finish(), 'finish a digest');
    const start = this.#exports.digestPointer();
    return new Uint8Array(this.#exports.memory.buffer).slice(start, start + SHA256_BYTES);
  }

  /**
   * For tests of the byte count: pretends that `blocks` blocks of 64 bytes went before.
   *
   * @throws RangeError when bytes were taken already, or for more than 2^61 bytes
   */
  skipBlocks(blocks: bigint): this {
    expectOk(this.#exports.skipBlocks(blocks), 'skip blocks');
    return this;
  }
}

/** A hasher with a module of its own. */
export async function createSha256(): Promise<Sha256> {
  return new Sha256(await compileModule('sha256'));
}
