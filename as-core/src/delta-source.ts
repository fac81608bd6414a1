/** The unpacked source of a delta, read where it is wanted: few of its blocks are in memory at a time. */
import type { Layout, Piece, ReadBytes } from './delta-layout.ts';
import { unpackPiece } from './delta-layout.ts';
import type { ZstdDecoder } from './zstd.ts';

/** Unpacked bytes that are kept. */
export const KEPT_BYTES_MAX = 4 * 2 ** 20;
const KEPT_PIECES_MIN = 2;
/** A metadata block, should data blocks be smaller. */
const SLOT_BYTES_MIN = 8192;

/** Reads unpacked bytes. What was used last is kept, in memory that is taken once. */
export class UnpackedSource {
  readonly #layout: Layout;
  readonly #decoder: ZstdDecoder;
  readonly #read: ReadBytes;
  readonly #readKernel: ReadBytes | undefined;
  readonly #packed: Uint8Array;
  readonly #slotBytes: number;
  /** Index of the piece to the memory that has its bytes, the oldest use first. */
  readonly #kept = new Map<number, Uint8Array>();

  constructor(of: {
    readonly layout: Layout;
    readonly decoder: ZstdDecoder;
    /** Bytes of the source as they lie in it. */
    readonly read: ReadBytes;
    /** Bytes of the unpacked kernel, where the layout has one. */
    readonly readKernel?: ReadBytes | undefined;
  }) {
    this.#layout = of.layout;
    this.#decoder = of.decoder;
    this.#read = of.read;
    this.#readKernel = of.readKernel;
    this.#slotBytes = Math.max(SLOT_BYTES_MIN, of.layout.blockBytes);
    // What is packed is no longer than its content, but for the length in front of metadata.
    this.#packed = new Uint8Array(this.#slotBytes + SLOT_BYTES_MIN);
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
      const length = Math.min(piece.unpackedBytes - from, target.length - done);
      const part = target.subarray(done, done + length);
      if (piece.kind === 'raw') this.#read(piece.place + from, part);
      else if (piece.kind === 'kernel') this.#kernelBytes(from, part);
      else part.set(this.#load(piece, index).subarray(from, from + length));
      done += length;
    }
  };

  #kernelBytes(offset: number, target: Uint8Array): void {
    if (this.#readKernel === undefined) throw new TypeError('nobody has unpacked the kernel');
    this.#readKernel(offset, target);
  }

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
    const slot = kept ?? this.#freeSlot();
    this.#kept.delete(index);
    if (kept === undefined) {
      const packed = this.#packed.subarray(0, piece.packedBytes);
      this.#read(piece.place, packed);
      const target = slot.subarray(0, piece.unpackedBytes);
      unpackPiece(this.#decoder, { piece, packed }, target);
    }
    this.#kept.set(index, slot);
    return slot;
  }

  /** Memory for a piece: more of it, or that of the piece whose last use is longest ago. */
  #freeSlot(): Uint8Array {
    const most = Math.max(KEPT_PIECES_MIN, Math.floor(KEPT_BYTES_MAX / this.#slotBytes));
    const [oldest] = this.#kept;
    if (oldest === undefined || this.#kept.size < most) return new Uint8Array(this.#slotBytes);
    const [index, slot] = oldest;
    this.#kept.delete(index);
    return slot;
  }
}
