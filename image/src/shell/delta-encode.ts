/** Which pieces of a target our encoder makes again, and what it makes of them. */
import { createHash } from 'node:crypto';
import type { Piece } from '@keelos/as-core/delta-layout.ts';
import type { Packer } from '@keelos/as-core/delta-pack.ts';
import { dataRun, metadataRun } from '@keelos/as-core/delta-pack.ts';
import type { CoreWorkers } from '@keelos/as-core/workers.ts';
import type { Side } from '../core/delta-draft.ts';
import { packedBytes } from '../core/delta-draft.ts';

/** Unpacked bytes that go to a worker together. */
const BATCH_BYTES = 2 ** 20;
/** So many of the first pieces are tried before the rest: another encoder shows at once. */
const SAMPLE_PIECES = 16;

/** A piece with its content. */
export interface UnpackedPiece {
  readonly piece: Piece;
  readonly content: Uint8Array;
}

/** Frames that the encoder has made, by content: what it makes of the same bytes it need not make twice. */
export class MadeFrames {
  readonly #frames = new Map<string, Uint8Array>();

  keep(content: Uint8Array, frame: Uint8Array): void {
    this.#frames.set(digest(content), frame);
  }

  /** A packer that makes what is not known yet with another one. */
  packer(other: Packer): Packer {
    return {
      lanes: other.lanes,
      pack: async (blocks, level) => {
        const known = blocks.map((block) => this.#frames.get(digest(block)));
        const missing = blocks.filter((_, index) => known[index] === undefined);
        const made = missing.length === 0 ? [] : await other.pack(missing, level);
        let next = 0;
        return known.map((frame) => frame ?? made[next++] ?? new Uint8Array(0));
      },
    };
  }
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64');
}

/** A packer whose blocks are packed by worker threads. */
export function packWith(workers: CoreWorkers): Packer {
  return {
    lanes: workers.count,
    pack: (blocks, level) => {
      const pieces = blocks.map((block) => new Uint8Array(block));
      const moved = pieces.map(({ buffer }) => buffer);
      return workers.run('encode-blocks', { pieces, level }, { moved });
    },
  };
}

/** How {@link unmadePieces} works. */
export interface EncodeOptions {
  readonly target: Side;
  readonly level: number;
  readonly packer: Packer;
  readonly frames: MadeFrames;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (fraction: number) => void;
}

/** The pieces that the encoder does not make to the bytes that they have. */
export async function unmadePieces(
  pieces: readonly UnpackedPiece[],
  options: EncodeOptions,
): Promise<Set<Piece>> {
  const packed = pieces.filter(({ piece }) => piece.kind !== 'raw');
  const sample = packed.filter(({ piece }) => piece.kind === 'data').slice(0, SAMPLE_PIECES);
  const unmade = new Set<Piece>();
  await judge(sample, { ...options, onProgress: () => undefined }, unmade);
  if (sample.length > 0 && unmade.size === sample.length) {
    return new Set(packed.map(({ piece }) => piece));
  }
  const tried = new Set(sample);
  const rest = packed.filter((each) => !tried.has(each));
  await judge(rest, options, unmade);
  return unmade;
}

async function judge(
  pieces: readonly UnpackedPiece[],
  options: EncodeOptions,
  unmade: Set<Piece>,
): Promise<void> {
  const batches = batchesOf(pieces);
  const waiting = batches.values();
  let done = 0;
  const loop = async () => {
    // The loops share the iterator: each batch is one loop's.
    for (const batch of waiting) {
      options.signal?.throwIfAborted();
      const contents = batch.map(({ content }) => content);
      const frames = await options.packer.pack(contents, options.level);
      for (const [index, { piece, content }] of batch.entries()) {
        const frame = frames[index] ?? new Uint8Array(0);
        if (isMade(options.target, piece, { content, frame })) options.frames.keep(content, frame);
        else unmade.add(piece);
      }
      done += 1;
      options.onProgress?.(done / batches.length);
    }
  };
  await Promise.all(Array.from({ length: options.packer.lanes * 2 }, loop));
}

function isMade(
  target: Side,
  piece: Piece,
  { content, frame }: { readonly content: Uint8Array; readonly frame: Uint8Array },
): boolean {
  const run = piece.kind === 'data' ? dataRun : metadataRun;
  return packedBytes(target, piece).equals(run([content], [frame]));
}

function batchesOf(pieces: readonly UnpackedPiece[]): UnpackedPiece[][] {
  const batches: UnpackedPiece[][] = [];
  let bytes = BATCH_BYTES;
  for (const each of pieces) {
    if (bytes + each.content.length > BATCH_BYTES) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1)?.push(each);
    bytes += each.content.length;
  }
  return batches;
}
