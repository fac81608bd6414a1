/**
 * The kernel within a kernel image: one zstd frame, of which the kernel's own start-up makes the kernel again. The build
 * packs it here, and so does a node that was given a patch for the unpacked one, so that both have the same bytes.
 *
 * It is one frame of some 30 MB, so it is packed as a stream, with tables that a node has room for. Another byte in this
 * file is another kernel for the build's cache.
 */
import {
  constants,
  createZstdCompress,
  createZstdDecompress,
  type ZstdCompress,
  type ZstdDecompress,
} from 'node:zlib';

/** Window of the frame, as a power of two: what packing and unpacking it remembers. */
export const KERNEL_WINDOW_LOG = 22;

/**
 * Level 19 with a window of 4 MiB and tables of 4 MiB each: 1.7 % larger than the kernel's own choice, level 22 with a
 * window of the whole kernel, which takes hundreds of megabytes to pack (docs/decisions/0016-kernel-in-deltas.md).
 */
const PARAMETERS = {
  [constants.ZSTD_c_compressionLevel]: 19,
  [constants.ZSTD_c_windowLog]: KERNEL_WINDOW_LOG,
  [constants.ZSTD_c_hashLog]: 20,
  [constants.ZSTD_c_chainLog]: 20,
};
/** What the encoder is told, as text: of other parameters the canary may have the same bytes. */
export const KERNEL_PARAMETERS = JSON.stringify(PARAMETERS);

/** Bytes that go through at a time. */
const PIECE_BYTES = 65_536;

/** Bytes in pieces of any length, which stay as they are. */
export type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Bytes that `read` gives, in pieces. */
export function* piecesOf(
  sizeBytes: number,
  read: (at: number, bytes: Uint8Array) => void,
): Generator<Uint8Array> {
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    const bytes = new Uint8Array(Math.min(PIECE_BYTES, sizeBytes - at));
    read(at, bytes);
    yield bytes;
  }
}

/** Packs a kernel: {@link packKernel}, or what knows already what that makes. */
export type PackKernel = (pieces: Pieces, sizeBytes: number) => AsyncIterable<Uint8Array>;

/**
 * The frame of a kernel of `sizeBytes` bytes. However the content is cut into pieces, the frame is the same.
 *
 * @throws Error when the pieces are not so many bytes in all
 */
export async function* packKernel(pieces: Pieces, sizeBytes: number): AsyncGenerator<Uint8Array> {
  yield* through(pieces, createZstdCompress({ params: PARAMETERS, pledgedSrcSize: sizeBytes }));
}

/**
 * The content of the frame of a kernel.
 *
 * @throws Error when it is no frame, or one that needs a larger window than {@link KERNEL_WINDOW_LOG}
 */
export async function* unpackKernel(pieces: Pieces): AsyncGenerator<Uint8Array> {
  const params = { [constants.ZSTD_d_windowLogMax]: KERNEL_WINDOW_LOG };
  yield* through(pieces, createZstdDecompress({ params }));
}

/**
 * What a transform makes of pieces. One piece after the other, and the end behind the last: when Node gives zstd the end
 * together with bytes, which it does when both are there, it gives it another end, and an empty frame comes behind.
 */
async function* through(
  pieces: Pieces,
  transform: ZstdCompress | ZstdDecompress,
): AsyncGenerator<Uint8Array> {
  const write = (piece: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      transform.write(piece, (cause) => (cause ? reject(cause) : resolve()));
    });
  const feed = async () => {
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; at += PIECE_BYTES) {
        await write(piece.subarray(at, at + PIECE_BYTES));
      }
    }
    transform.end();
  };
  // An error on the way comes out at the end: whoever reads hears of it.
  feed().catch((cause: unknown) => transform.destroy(cause as Error));
  try {
    for await (const piece of transform) yield piece as Uint8Array;
  } finally {
    transform.destroy();
  }
}
