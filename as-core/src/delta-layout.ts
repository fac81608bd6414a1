/// <reference path="./web-assembly.d.ts" />
/**
 * The pieces of a SquashFS: its packed blocks, and what lies between them, without a gap (docs/reference/delta-format.md,
 * "Pieces"). Read from the image's own tables, in WebAssembly, on both sides of a delta.
 */
import { type DeltaKernel, PIECES_MAX } from '@keelos/proto/delta.ts';
import { compileModule } from './load.ts';
import { CoreError, expectOk, Status } from './status.ts';
import { ZstdDecoder } from './zstd.ts';

interface Exports {
  readonly memory: WebAssembly.Memory;
  findPieces(size: bigint, work: bigint): number;
  piecesFound(): number;
  piecesPointer(): number;
  imageBlockBytes(): number;
  faultPlace(): bigint;
}

/** What a piece is. */
export type PieceKind = 'raw' | 'data' | 'metadata' | 'kernel';

/** A piece of an image. */
export interface Piece {
  readonly kind: PieceKind;
  /** Place in the image. */
  readonly place: number;
  readonly packedBytes: number;
  /** Place among all the unpacked bytes. */
  readonly unpackedPlace: number;
  readonly unpackedBytes: number;
}

/** The pieces of an image, in the order of their place. */
export interface Layout {
  readonly pieces: readonly Piece[];
  readonly blockBytes: number;
  /** All pieces together. */
  readonly unpackedBytes: number;
}

/** Fills `target` with the bytes from `offset` on. Throws when it cannot. */
export type ReadBytes = (offset: number, target: Uint8Array) => void;

/** Compiled modules that {@link layoutOf} needs. The decoder serves one call at a time. */
export interface LayoutModules {
  readonly module: WebAssembly.Module;
  readonly decoder: ZstdDecoder;
}

/** Compiles them. */
export async function compileLayout(): Promise<LayoutModules> {
  const [module, decoder] = await Promise.all([
    compileModule('delta-layout'),
    ZstdDecoder.create(),
  ]);
  return { module, decoder };
}

/** Largest raw piece. */
export const RAW_PIECE_BYTES_MAX = 2 ** 20;
/** Most bytes that may be read and decoded for a layout: the tables of the largest image, not its data. */
const WORK_BYTES_MAX = 2 ** 36;
const PIECE_BYTES = 16;
/** Length in front of a metadata block; the bit in its second byte says that the block is not compressed. */
const LENGTH_BYTES = 2;
const PLAIN_BIT = 0x80;
const KINDS = ['raw', 'data', 'metadata'] as const;
const ACTION = 'find the pieces of a SquashFS';

/**
 * The pieces of an image of `sizeBytes` bytes. Padding and whatever else lies behind it counts as raw.
 *
 * @throws CoreError when the image's tables are malformed, or its blocks overlap or are too many
 */
export function layoutOf(
  { module, decoder }: LayoutModules,
  { sizeBytes, read }: { readonly sizeBytes: number; readonly read: ReadBytes },
): Layout {
  let memory = new Uint8Array(0);
  const host = {
    read: (offset: bigint, pointer: number, length: number) => {
      try {
        read(Number(offset), memory.subarray(pointer >>> 0, (pointer >>> 0) + (length >>> 0)));
        return Status.ok;
      } catch {
        // The image ends there, or cannot be read: the status says where.
        return Status.squashfsReadFailed;
      }
    },
    decode: (source: number, length: number, target: number, targetMax: number) => {
      const frame = memory.subarray(source >>> 0, (source >>> 0) + (length >>> 0));
      const content = memory.subarray(target >>> 0, (target >>> 0) + (targetMax >>> 0));
      return decoder.tryDecodeInto(frame, content);
    },
  };
  const { exports: given } = new WebAssembly.Instance(module, { host });
  const exports = given as unknown as Exports;
  // The memory never grows, so the view stays valid.
  memory = new Uint8Array(exports.memory.buffer);
  let status: number;
  try {
    status = exports.findPieces(BigInt(sizeBytes), BigInt(WORK_BYTES_MAX));
  } catch (cause) {
    const error = new CoreError(Status.deltaTrap, `Cannot ${ACTION}: the reader stopped itself`);
    error.cause = cause;
    throw error;
  }
  if (status !== Status.ok) expectOk(status, `${ACTION} (byte ${exports.faultPlace()})`);
  const start = exports.piecesPointer();
  const view = new DataView(memory.buffer, start, exports.piecesFound() * PIECE_BYTES);
  const pieces = withoutGaps(view, sizeBytes);
  const last = pieces.at(-1);
  return {
    pieces,
    blockBytes: exports.imageBlockBytes() >>> 0,
    unpackedBytes: last === undefined ? 0 : last.unpackedPlace + last.unpackedBytes,
  };
}

/** The pieces of the records, with raw ones between. */
function withoutGaps(view: DataView, sizeBytes: number): Piece[] {
  const row = new PieceRow();
  for (let at = 0; at < view.byteLength; at += PIECE_BYTES) {
    const head = view.getBigUint64(at, true);
    const place = Number(head & 0xff_ffff_ffff_ffffn);
    row.addRaw(place);
    row.add(KINDS[Number(head >> 56n)] ?? 'raw', {
      packedBytes: view.getUint32(at + 8, true),
      unpackedBytes: view.getUint32(at + 12, true),
    });
  }
  row.addRaw(sizeBytes);
  return row.pieces;
}

/** Pieces one behind the other. */
class PieceRow {
  readonly pieces: Piece[];
  #place: number;
  #unpackedPlace: number;

  constructor(first: readonly Piece[] = [], end = { place: 0, unpackedPlace: 0 }) {
    this.pieces = [...first];
    this.#place = end.place;
    this.#unpackedPlace = end.unpackedPlace;
  }

  get unpackedPlace(): number {
    return this.#unpackedPlace;
  }

  add(kind: PieceKind, sizes: Pick<Piece, 'packedBytes' | 'unpackedBytes'>): void {
    if (this.pieces.length >= PIECES_MAX) expectOk(Status.deltaPieces, ACTION);
    this.pieces.push({ kind, place: this.#place, unpackedPlace: this.#unpackedPlace, ...sizes });
    this.#place += sizes.packedBytes;
    this.#unpackedPlace += sizes.unpackedBytes;
  }

  /** Raw pieces up to a place. */
  addRaw(end: number, pieceBytes = RAW_PIECE_BYTES_MAX): void {
    while (this.#place < end) {
      const bytes = Math.min(pieceBytes, end - this.#place);
      this.add('raw', { packedBytes: bytes, unpackedBytes: bytes });
    }
  }
}

/**
 * A layout with a kernel image behind it, in raw pieces.
 *
 * @param of.kernel where in it a kernel lies that is one piece; one of 0 bytes is none
 */
export function withKernelImage(
  layout: Layout,
  of: {
    readonly bytes: number;
    readonly pieceBytes: number;
    readonly kernel: Pick<DeltaKernel, 'offset' | 'packedBytes' | 'unpackedBytes'>;
  },
): Layout {
  const { offset, packedBytes, unpackedBytes } = of.kernel;
  const end = layout.pieces.at(-1);
  const start = end === undefined ? 0 : end.place + end.packedBytes;
  const row = new PieceRow(layout.pieces, { place: start, unpackedPlace: layout.unpackedBytes });
  if (packedBytes > 0) {
    row.addRaw(start + offset, of.pieceBytes);
    row.add('kernel', { packedBytes, unpackedBytes });
  }
  row.addRaw(start + of.bytes, of.pieceBytes);
  return { ...layout, pieces: row.pieces, unpackedBytes: row.unpackedPlace };
}

/**
 * Puts the content of a piece, from its bytes as they lie in the image, into `target`, which is as long as the content.
 *
 * @throws CoreError when they do not decode to it
 */
export function unpackPiece(
  decoder: ZstdDecoder,
  { piece, packed }: { readonly piece: Piece; readonly packed: Uint8Array },
  target: Uint8Array,
): void {
  const isMetadata = piece.kind === 'metadata';
  const isPlain = piece.kind === 'raw' || (isMetadata && ((packed[1] ?? 0) & PLAIN_BIT) !== 0);
  const stored = isMetadata ? packed.subarray(LENGTH_BYTES) : packed;
  if (isPlain) target.set(stored);
  const length = isPlain ? stored.length : decoder.decodeInto(stored, target);
  if (length !== target.length) expectOk(Status.zstdSizesDiffer, 'unpack a piece');
}
