/** The unpacked source of a delta, read where it is wanted: few of its blocks are in memory at a time. */
import type { Layout, Piece, ReadBytes } from './delta-layout.ts';
import { unpackPiece } from './delta-layout.ts';
import type { ZstdDecoder } from './zstd.ts';

/** Unpacked bytes that are kept. */
export const KEPT_BYTES_MAX = 4 * 2 ** 20;

/** Reads unpacked bytes. What was used last is kept. */
export class UnpackedSource {
  readonly #layout: Layout;
  readonly #decoder: ZstdDecoder;
  readonly #read: ReadBytes;
  /** Index of the piece to its bytes, the oldest use first. */
  readonly #kept = new Map<number, Uint8Array>();
  #keptBytes = 0;

  constructor(of: {
    readonly layout: Layout;
    readonly decoder: ZstdDecoder;
    /** Bytes of the source as they lie in it. */
    readonly read: ReadBytes;
  }) {
    this.#layout = of.layout;
    this.#decoder = of.decoder;
    this.#read = of.read;
  }

  /** Size of all. */
  get sizeBytes(): number {
    return this.#layout.unpackedBytes;
  }

  /**
   * Fills `target` with the unpacked bytes from `offset` on.
   *
   * @throws RangeError for a place outside
   * @throws CoreError when a block does not unpack
   */
  readonly read = (offset: number, target: Uint8Array): void => {
    if (!(offset >= 0) || offset > this.sizeBytes - target.length) {
      throw new RangeError(`${offset} + ${target.length} of ${this.sizeBytes} bytes`);
    }
    for (let done = 0, index = this.#pieceAt(offset); done < target.length; index++) {
      const piece = this.#layout.pieces[index];
      if (piece === undefined) throw new RangeError(`no piece ${index}`);
      const from = offset + done - piece.unpackedPlace;
      const bytes = this.#load(piece, index).subarray(from, from + target.length - done);
      target.set(bytes, done);
      done += bytes.length;
    }
  };

  /** Index of the piece that has an unpacked byte. */
  #pieceAt(offset: number): number {
    const { pieces } = this.#layout;
    let [low, high] = [0, pieces.length];
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((pieces[middle]?.unpackedPlace ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  #load(piece: Piece, index: number): Uint8Array {
    const kept = this.#kept.get(index);
    if (kept !== undefined) {
      this.#kept.delete(index);
      this.#kept.set(index, kept);
      return kept;
    }
    const packed = new Uint8Array(piece.packedBytes);
    this.#read(piece.place, packed);
    const bytes = unpackPiece(this.#decoder, piece, packed);
    this.#kept.set(index, bytes);
    this.#keptBytes += bytes.length;
    for (const [oldest, { length }] of this.#kept) {
      if (this.#keptBytes <= KEPT_BYTES_MAX || oldest === index) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= length;
    }
    return bytes;
  }
}
