/// <reference path="./web-assembly.d.ts" />
/**
 * One instance of libzstd, as `@bokuweb/zstd-wasm` compiles it: its imports, its memory with a limit, its areas.
 *
 * The package's own JavaScript is not used: it keeps one instance for the whole process, lets its memory grow to 2 GiB
 * and starts timers. The module's imports and exports have one letter each; they are named here.
 */

interface Exports {
  /** memory */
  readonly f: WebAssembly.Memory;
  /** __wasm_call_ctors */
  g(): void;
  /** ZSTD_isError */
  h(code: number): number;
  /** ZSTD_createCCtx */
  j(): number;
  /** ZSTD_compress_usingDict: context, target and its size, source and its size, dictionary and its size, level */
  l(...args: readonly [number, number, number, number, number, number, number, number]): number;
  /** ZSTD_createDCtx */
  n(): number;
  /** ZSTD_decompress_usingDict: context, target and its size, source and its size, dictionary and its size */
  q(...args: readonly [number, number, number, number, number, number, number]): number;
  /** malloc */
  s(bytes: number): number;
  /** free */
  t(pointer: number): void;
}

const PAGE_BYTES = 65_536;

/** ZSTD_error_memory_allocation of zstd_errors.h. */
const ERROR_MEMORY = 64;

/** Answer of a call: bytes written, or why not. A trap is thrown, and the instance is not to be used again. */
export type ZstdAnswer = number | 'no-memory' | 'refused';

/** A piece of the instance's memory. */
export interface Area {
  readonly pointer: number;
  readonly bytes: number;
}

const NO_AREA: Area = { pointer: 0, bytes: 0 };
const NO_DICTIONARY = [0, 0] as const;

/** Holds two areas and one context for each direction, made when they are first used. */
export class ZstdInstance {
  readonly #exports: Exports;
  #source = NO_AREA;
  #target = NO_AREA;
  #decoder = 0;
  #encoder = 0;

  /** @param memoryBytesMax the memory never grows over this; what needs more answers "no-memory" */
  constructor(module: WebAssembly.Module, memoryBytesMax: number) {
    const stop = () => {
      throw new WebAssembly.RuntimeError('abort');
    };
    const grow = (bytes: number) => this.#grow(bytes >>> 0, memoryBytesMax);
    // exit, keep-alive, abort, setitimer, resize_heap
    const imports = { a: { a: stop, b: () => {}, c: stop, d: () => -1, e: grow } };
    this.#exports = new WebAssembly.Instance(module, imports).exports as unknown as Exports;
    this.#exports.g();
  }

  /** Its memory, for the guard. The buffer inside changes whenever it grows. */
  get memory(): WebAssembly.Memory {
    return this.#exports.f;
  }

  /** Copies `bytes` in. False when there is no memory for them. */
  setSource(bytes: Uint8Array): Area | undefined {
    this.#source = this.#sized(this.#source, bytes.length);
    if (this.#source.pointer === 0) return undefined;
    this.view({ pointer: this.#source.pointer, bytes: bytes.length }).set(bytes);
    return { pointer: this.#source.pointer, bytes: bytes.length };
  }

  /** A view of `area`, good until the next call. */
  view(area: Area): Uint8Array {
    return new Uint8Array(this.memory.buffer, area.pointer, area.bytes);
  }

  /** A view of the first `bytes` of what the last call wrote, good until the next call. */
  result(bytes: number): Uint8Array {
    return this.view({ pointer: this.#target.pointer, bytes });
  }

  /** Decodes the frame in `source` to at most `targetBytes`. */
  decode(source: Area, targetBytes: number): ZstdAnswer {
    this.#target = this.#sized(this.#target, targetBytes);
    this.#decoder ||= this.#exports.n();
    if (this.#target.pointer === 0 || this.#decoder === 0) return 'no-memory';
    const { pointer } = this.#target;
    const from = [source.pointer, source.bytes] as const;
    return this.#answer(
      this.#exports.q(this.#decoder, pointer, targetBytes, ...from, ...NO_DICTIONARY),
    );
  }

  /** Encodes `source` as one frame of at most `targetBytes`. */
  encode(source: Area, targetBytes: number, level: number): ZstdAnswer {
    this.#target = this.#sized(this.#target, targetBytes);
    this.#encoder ||= this.#exports.j();
    if (this.#target.pointer === 0 || this.#encoder === 0) return 'no-memory';
    const { pointer } = this.#target;
    const from = [source.pointer, source.bytes] as const;
    return this.#answer(
      this.#exports.l(this.#encoder, pointer, targetBytes, ...from, ...NO_DICTIONARY, level),
    );
  }

  #answer(result: number): ZstdAnswer {
    if (this.#exports.h(result) === 0) return result >>> 0;
    return -result === ERROR_MEMORY ? 'no-memory' : 'refused';
  }

  /** An area of at least `bytes`: the one that is there, or another in its place. */
  #sized(area: Area, bytes: number): Area {
    if (area.pointer !== 0 && area.bytes >= bytes) return area;
    if (area.pointer !== 0) this.#exports.t(area.pointer);
    // malloc(0) may answer 0.
    const pointer = this.#exports.s(Math.max(bytes, 1)) >>> 0;
    return pointer === 0 ? NO_AREA : { pointer, bytes };
  }

  #grow(bytes: number, bytesMax: number): number {
    const missing = bytes - this.memory.buffer.byteLength;
    if (bytes > bytesMax) return 0;
    if (missing <= 0) return 1;
    try {
      this.memory.grow(Math.ceil(missing / PAGE_BYTES));
    } catch {
      // The host has no more: libzstd hears of it as of any other allocation that fails.
      return 0;
    }
    return 1;
  }
}
