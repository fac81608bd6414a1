/** The patched bytes of a delta, one stretch after the other. */
import type { DeltaFile } from './delta-file.ts';
import type { UnpackedSource } from './delta-source.ts';
import { ZstdDecoder } from './zstd.ts';

/** What {@link PatchBytes} needs. */
export interface PatchModules {
  readonly decoder: ZstdDecoder;
}

/** Compiles it. */
export async function compilePatch(): Promise<PatchModules> {
  return { decoder: await ZstdDecoder.create() };
}

const CHUNK = 2 ** 20;

/** Makes them. */
export class PatchBytes {
  readonly #delta: DeltaFile;
  readonly #decoder: ZstdDecoder;
  #at = 0;
  #piece: Uint8Array = new Uint8Array(0);

  constructor(of: {
    readonly delta: DeltaFile;
    readonly unpacked: UnpackedSource;
    readonly modules: PatchModules;
  }) {
    this.#delta = of.delta;
    this.#decoder = of.modules.decoder;
  }

  /** The next bytes, the caller's own. */
  next(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      if (this.#piece.length === 0) this.#piece = this.#decode();
      const some = this.#piece.subarray(0, length - done);
      bytes.set(some, done);
      done += some.length;
      this.#piece = this.#piece.subarray(some.length);
    }
    return bytes;
  }

  /** Leaves out the next bytes. */
  pass(length: number): void {
    for (let left = length; left > 0; left -= CHUNK) this.next(Math.min(CHUNK, left));
  }

  /** All was taken. */
  close(): void {}

  #decode(): Uint8Array {
    const head = Buffer.alloc(4);
    this.#delta.readIn('patch', this.#at, head);
    const frame = Buffer.alloc(head.readUInt32LE());
    this.#delta.readIn('patch', this.#at + 4, frame);
    this.#at += 4 + frame.length;
    return this.#decoder.decode(frame, { contentBytesMax: CHUNK });
  }
}
