/** Job `encode-blocks`: compresses pieces, each a zstd frame of its own. */
import type { JobContext } from './jobs.ts';
import { ZstdEncoder } from './zstd.ts';

/** What to compress. */
export interface EncodeBlocksInput {
  /** Each at most 8 MiB. */
  readonly pieces: readonly Uint8Array[];
  /** 1 to 22. */
  readonly level: number;
}

/**
 * The frames, in the order of the pieces, the same bytes in every worker; fewer when the job was stopped. A frame may be
 * longer than its piece.
 *
 * @throws RangeError for a level that zstd does not have, or a piece that is too long
 */
export async function encodeBlocks(
  { pieces, level }: EncodeBlocksInput,
  context: JobContext,
): Promise<readonly Uint8Array[]> {
  const encoder = await context.kept('zstd-encoder', () => ZstdEncoder.create());
  const frames: Uint8Array[] = [];
  for (const piece of pieces) {
    if (context.isStopped()) break;
    const frame = encoder.encode(piece, level);
    // A copy of the encoder's: nobody else has its buffer.
    context.handOver(frame.buffer as ArrayBuffer);
    frames.push(frame);
  }
  return frames;
}
