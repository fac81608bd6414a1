/**
 * Metadata of SquashFS: a stream of bytes in blocks of 8 KiB, each behind its length and compressed when that is smaller;
 * and the tables of fixed records with an index of their blocks. (Linux: Documentation/filesystems/squashfs.rst)
 */

/** Bytes of a metadata block before compression. */
export const METADATA_BLOCK_BYTES = 8192;

const NOT_COMPRESSED = 0x8000;
const LENGTH_BYTES = 2;
const POINTER_BYTES = 8;

/** Compresses one piece; the result may be larger than the piece. */
export type Compress = (bytes: Uint8Array) => Uint8Array;

/** Where something begins in a stream of metadata. */
export interface MetadataPosition {
  /** Of the block that it begins in, relative to the first block, in the file. */
  readonly blockStart: number;
  /** In the block when it is not compressed, 0 to 8191. */
  readonly offset: number;
}

/** A stream of metadata that is being written. */
export interface MetadataStream {
  /** Where the next byte will be. */
  position(): MetadataPosition;
  write(bytes: Uint8Array): void;
  /** Ends the stream: the blocks as they lie in the file, and where each begins. */
  finish(): { readonly bytes: Buffer; readonly blockStarts: readonly number[] };
}

/** One metadata block: its length, then its bytes. */
export function metadataBlock(bytes: Uint8Array, compress: Compress): Buffer {
  const packed = compress(bytes);
  const isSmaller = packed.length < bytes.length;
  const stored = isSmaller ? packed : bytes;
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16LE(stored.length | (isSmaller ? 0 : NOT_COMPRESSED));
  return Buffer.concat([length, stored]);
}

/** An empty stream. */
export function createMetadataStream(compress: Compress): MetadataStream {
  const block = Buffer.alloc(METADATA_BLOCK_BYTES);
  const blocks: Buffer[] = [];
  const blockStarts: number[] = [];
  let used = 0;
  let blockStart = 0;
  const flush = () => {
    const stored = metadataBlock(block.subarray(0, used), compress);
    blocks.push(stored);
    blockStarts.push(blockStart);
    blockStart += stored.length;
    used = 0;
  };
  return {
    position: () => ({ blockStart, offset: used }),
    write: (bytes) => {
      for (let done = 0; done < bytes.length; ) {
        const piece = bytes.subarray(done, done + METADATA_BLOCK_BYTES - used);
        block.set(piece, used);
        used += piece.length;
        done += piece.length;
        if (used === METADATA_BLOCK_BYTES) flush();
      }
    },
    finish: () => {
      if (used > 0) flush();
      return { bytes: Buffer.concat(blocks), blockStarts };
    },
  };
}

/** A table of records: metadata blocks, then a list of where each begins in the image. */
export interface Table {
  readonly bytes: Buffer;
  /** Of the list, relative to the table's first byte. */
  readonly listOffset: number;
}

/**
 * Makes a table.
 *
 * @param records whose size divides 8192
 * @param at where its first byte will be in the image
 * @param heading what stands between the blocks and the list
 */
export function metadataTable(
  records: Uint8Array,
  options: { readonly at: number; readonly compress: Compress; readonly heading?: Uint8Array },
): Table {
  const { at, compress, heading = new Uint8Array(0) } = options;
  const stream = createMetadataStream(compress);
  stream.write(records);
  const { bytes, blockStarts } = stream.finish();
  const list = Buffer.alloc(blockStarts.length * POINTER_BYTES);
  for (const [index, start] of blockStarts.entries()) {
    list.writeBigUInt64LE(BigInt(at + start), index * POINTER_BYTES);
  }
  return { bytes: Buffer.concat([bytes, heading, list]), listOffset: bytes.length };
}
