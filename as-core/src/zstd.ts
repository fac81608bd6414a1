/// <reference path="./web-assembly.d.ts" />
/**
 * zstd 1.5.7 in WebAssembly: one-shot frames with their content size in the header, as SquashFS and the kernel want them.
 *
 * Frames are untrusted: a guard of our own (as-core/assembly/zstd-frame.ts) reads their headers before libzstd sees them.
 * SquashFS frames carry no checksum, so a changed byte may decode to other bytes of the right length: dm-verity or a hash
 * has to say that they are the right ones.
 */
import { compileModule } from './load.ts';
import { CoreError, expectOk, Status } from './status.ts';
import { type Area, type ZstdAnswer, ZstdInstance } from './zstd-instance.ts';

/** Version of libzstd inside. The same version and level give the same bytes, on every machine. */
export const ZSTD_VERSION = '1.5.7';

/** Largest content that a decoder takes, in bytes. */
export const DECODER_CONTENT_BYTES_MAX = 8 * 1024 * 1024;
/** Most memory that a decoder takes, in bytes. It begins with 16.1 MiB, which is enough for SquashFS. */
export const DECODER_MEMORY_BYTES_MAX = 32 * 1024 * 1024;
/** Largest input of one frame, in bytes. */
export const ENCODER_INPUT_BYTES_MAX = 8 * 1024 * 1024;
/** Most memory that an encoder takes, in bytes: level 22 on the largest input. */
export const ENCODER_MEMORY_BYTES_MAX = 256 * 1024 * 1024;
/** Levels of libzstd; negative ones are not offered. */
export const LEVEL_MIN = 1;
/** See {@link LEVEL_MIN}. */
export const LEVEL_MAX = 22;

/** What both directions need, compiled once and shared. */
export interface ZstdModules {
  readonly zstd: WebAssembly.Module;
  readonly guard: WebAssembly.Module;
}

/** Compiles both modules. */
export async function compileZstd(): Promise<ZstdModules> {
  const [zstd, guard] = await Promise.all([compileModule('zstd'), compileModule('zstd-frame')]);
  return { zstd, guard };
}

const DECODE = 'decode a zstd frame';

interface Guard {
  check(frame: number, length: number, contentBytesMax: number): number;
  contentBytes(): number;
  frameBytesMax(contentBytes: number): number;
}

/** libzstd with the guard that looks at the same memory. */
interface Guarded {
  readonly instance: ZstdInstance;
  readonly guard: Guard;
}

function guarded(modules: ZstdModules, memoryBytesMax: number): Guarded {
  const instance = new ZstdInstance(modules.zstd, memoryBytesMax);
  const imports = { env: { memory: instance.memory } };
  const { exports } = new WebAssembly.Instance(modules.guard, imports);
  return { instance, guard: exports as unknown as Guard };
}

/** Decodes one frame at a time. */
export class ZstdDecoder {
  readonly #modules: ZstdModules;
  #guarded: Guarded;

  /** See {@link ZstdDecoder.create}. */
  constructor(modules: ZstdModules) {
    this.#modules = modules;
    this.#guarded = guarded(modules, DECODER_MEMORY_BYTES_MAX);
  }

  /** A decoder with modules of its own. */
  static async create(): Promise<ZstdDecoder> {
    return new ZstdDecoder(await compileZstd());
  }

  /** Memory that it holds, in bytes: never over {@link DECODER_MEMORY_BYTES_MAX}. */
  get memoryBytes(): number {
    return this.#guarded.instance.memory.buffer.byteLength;
  }

  /**
   * Content of `frame`, in memory of the caller's own. The frame is one whole frame without dictionary, its header
   * tells its content size, and its window is at most `contentBytesMax`; with a checksum, that is right too.
   *
   * @throws CoreError with a `zstd-…` code when the frame is anything else
   * @throws RangeError when `contentBytesMax` is no whole number from 0 to {@link DECODER_CONTENT_BYTES_MAX}
   */
  decode(frame: Uint8Array, options: { readonly contentBytesMax: number }): Uint8Array {
    const { contentBytesMax } = options;
    const isWhole = Number.isInteger(contentBytesMax) && contentBytesMax >= 0;
    if (!isWhole || contentBytesMax > DECODER_CONTENT_BYTES_MAX) {
      throw new RangeError(`contentBytesMax is ${contentBytesMax}`);
    }
    const length = this.#decode(frame, contentBytesMax);
    if (length < 0) expectOk(-length, DECODE);
    return this.#guarded.instance.result(length).slice();
  }

  /**
   * Like {@link decode}, into `target`, whose length is the limit: returns the length of the content.
   *
   * @throws CoreError with a `zstd-…` code; `target` is then unchanged
   */
  decodeInto(frame: Uint8Array, target: Uint8Array): number {
    const length = this.tryDecodeInto(frame, target);
    if (length < 0) expectOk(-length, DECODE);
    return length;
  }

  /** Like {@link decodeInto}, but returns a refusal as a negative status: for calls out of WebAssembly. */
  tryDecodeInto(frame: Uint8Array, target: Uint8Array): number {
    const length = this.#decode(frame, Math.min(target.length, DECODER_CONTENT_BYTES_MAX));
    if (length >= 0) target.set(this.#guarded.instance.result(length));
    return length;
  }

  #decode(frame: Uint8Array, contentBytesMax: number): number {
    const { instance, guard } = this.#guarded;
    if (frame.length > guard.frameBytesMax(contentBytesMax)) return -Status.zstdFrameTooLong;
    const source = instance.setSource(frame);
    if (source === undefined) return -Status.zstdMemory;
    const status = guard.check(source.pointer, source.bytes, contentBytesMax);
    if (status !== Status.ok) return -status;
    const contentBytes = guard.contentBytes() >>> 0;
    const answer = this.#call((libzstd) => libzstd.decode(source, contentBytes));
    if (answer === 'trapped') return -Status.zstdTrapped;
    if (answer === 'no-memory') return -Status.zstdMemory;
    if (answer === 'refused') return -Status.zstdCorrupt;
    return answer === contentBytes ? answer : -Status.zstdSizesDiffer;
  }

  /** After a trap the instance's state is unknown: another one takes its place. */
  #call(work: (instance: ZstdInstance) => ZstdAnswer): ZstdAnswer | 'trapped' {
    try {
      return work(this.#guarded.instance);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      this.#guarded = guarded(this.#modules, DECODER_MEMORY_BYTES_MAX);
      return 'trapped';
    }
  }
}

/** Encodes one frame at a time. */
export class ZstdEncoder {
  readonly #guarded: Guarded;

  /** See {@link ZstdEncoder.create}. */
  constructor(modules: ZstdModules) {
    this.#guarded = guarded(modules, ENCODER_MEMORY_BYTES_MAX);
  }

  /** An encoder with modules of its own. */
  static async create(): Promise<ZstdEncoder> {
    return new ZstdEncoder(await compileZstd());
  }

  /**
   * `bytes` as one frame, content size in the header, no checksum: byte for byte what ZSTD_compress of libzstd 1.5.7
   * makes at that level.
   *
   * @param level whole number from {@link LEVEL_MIN} to {@link LEVEL_MAX}
   * @throws RangeError for another level, or more than {@link ENCODER_INPUT_BYTES_MAX} bytes
   */
  encode(bytes: Uint8Array, level: number): Uint8Array {
    if (!Number.isInteger(level) || level < LEVEL_MIN || level > LEVEL_MAX) {
      throw new RangeError(`zstd has no level ${level}: it is ${LEVEL_MIN} to ${LEVEL_MAX}`);
    }
    if (bytes.length > ENCODER_INPUT_BYTES_MAX) {
      throw new RangeError(`${bytes.length} bytes, at most ${ENCODER_INPUT_BYTES_MAX}`);
    }
    const { instance, guard } = this.#guarded;
    const source: Area | undefined = instance.setSource(bytes);
    const answer =
      source === undefined
        ? 'no-memory'
        : instance.encode(source, guard.frameBytesMax(bytes.length), level);
    if (typeof answer === 'string')
      throw new CoreError(Status.zstdMemory, `Cannot encode ${bytes.length} bytes: ${answer}`);
    return instance.result(answer).slice();
  }
}
