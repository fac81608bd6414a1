/** Writes a SquashFS image: the plan and the layout are core's, workers compress the data between the two. */
import type { CoreWorkers } from '@keelos/as-core/workers.ts';
import { ZstdEncoder } from '@keelos/as-core/zstd.ts';
import type { FragmentRule } from '../core/squashfs-data.ts';
import type { SquashfsEntry } from '../core/squashfs-tree.ts';
import { layoutSquashfs, planSquashfs } from '../core/squashfs-writer.ts';

/** What goes to a worker at a time: enough that sending costs nothing, little enough that all end together. */
const BATCH_BYTES = 524_288;
/** One to work on, one that waits beside it. */
const BATCHES_PER_WORKER = 2;

/** What an image is made of, and how. */
export interface WriteSquashfsOptions {
  /** In any order; see `squashfsTree`. */
  readonly tree: readonly SquashfsEntry[];
  /** A power of two from 4 KiB to 1 MiB. */
  readonly blockBytes: number;
  /** zstd, 1 to 22. */
  readonly level: number;
  readonly fragments: FragmentRule;
  /** Time of the image, and of each entry without one of its own. */
  readonly epochSeconds: number;
  /** False when not given. */
  readonly isExportable?: boolean;
  readonly workers: CoreWorkers;
  /** Called with the part of the data that is done, 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal;
}

/** Pieces that go to a worker together. */
interface Batch {
  readonly first: number;
  readonly pieces: Uint8Array[];
}

function batchesOf(pieces: readonly Uint8Array[]): Batch[] {
  const batches: Batch[] = [];
  let bytes = BATCH_BYTES;
  for (const [index, piece] of pieces.entries()) {
    if (bytes + piece.length > BATCH_BYTES) {
      batches.push({ first: index, pieces: [] });
      bytes = 0;
    }
    batches.at(-1)?.pieces.push(piece);
    bytes += piece.length;
  }
  return batches;
}

/** Each piece compressed, in the order of the pieces, whoever is ready first. */
async function encodeAll(
  pieces: readonly Uint8Array[],
  options: WriteSquashfsOptions,
): Promise<Uint8Array[]> {
  const { workers, level, signal, onProgress } = options;
  const frames: Uint8Array[] = [];
  const batches = batchesOf(pieces);
  const waiting = batches.values();
  let batchesDone = 0;
  const encodeBatches = async () => {
    // The loops share the iterator: each batch is one loop's.
    for (const { first, pieces: some } of waiting) {
      // A piece is a view: to send it would copy all that it is a view of.
      const copies = some.map((piece) => new Uint8Array(piece));
      const moved = copies.map(({ buffer }) => buffer);
      const done = await workers.run('encode-blocks', { pieces: copies, level }, { moved, signal });
      for (const [index, frame] of done.entries()) frames[first + index] = frame;
      batchesDone += 1;
      onProgress?.(batchesDone / batches.length);
    }
  };
  const loops = Array.from({ length: workers.count * BATCHES_PER_WORKER }, encodeBatches);
  await Promise.all(loops);
  return frames;
}

/**
 * The image, padded to whole 4 KiB. Equal trees and options make equal bytes, with any number of workers.
 *
 * @throws RangeError for a tree or options that no image can hold
 * @throws whatever the signal's reason is, once it is aborted
 */
export async function writeSquashfs(options: WriteSquashfsOptions): Promise<Buffer> {
  const { tree, level } = options;
  const plan = planSquashfs(tree, options);
  const encoder = await ZstdEncoder.create();
  const packed = await encodeAll(plan.data.pieces, options);
  return layoutSquashfs(plan, { packed, compress: (bytes) => encoder.encode(bytes, level) });
}
