/** Packs blocks with the zstd of Node, on the threads that Node has for it where that makes the same bytes. */
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync } from 'node:zlib';
import type { Packer } from '@keelos/as-core/delta-pack.ts';

const compress = promisify(zstdCompress);
/** Blocks that are packed at the same time: each takes what its level takes, 3 MB at level 19 and 128 KiB. */
const LANES_MAX = 4;
/** A frame is at most this much longer than its block: it then comes in one piece. */
const FRAME_ROOM_BYTES = 65_536;
/**
 * Longest block of zstd's own, of which a frame is made (RFC 8878, 3.1.1.2). Behind a full one Node's threads write another,
 * empty one: they give the content first, and say that it ends afterwards.
 */
const ZSTD_BLOCK_BYTES = 131_072;

/** A packer that makes the bytes of `ZstdEncoder` as long as both have the same libzstd: the canary of a delta tells. */
export function packNatively(): Packer {
  return {
    lanes: Math.min(LANES_MAX, availableParallelism()),
    async pack(blocks, level) {
      const frames: Uint8Array[] = [];
      for (const block of blocks) frames.push(await frameOf(block, level));
      return frames;
    },
  };
}

async function frameOf(block: Uint8Array, level: number): Promise<Uint8Array> {
  const options = {
    // Without it the frame does not say how long its content is, and other tables are chosen.
    pledgedSrcSize: block.length,
    chunkSize: block.length + FRAME_ROOM_BYTES,
    params: { [constants.ZSTD_c_compressionLevel]: level },
  };
  return block.length <= ZSTD_BLOCK_BYTES
    ? compress(block, options)
    : zstdCompressSync(block, options);
}
