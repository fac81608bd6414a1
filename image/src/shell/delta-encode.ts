/** Which pieces of a target our encoder makes again, and what it makes of them. */
import { createHash } from 'node:crypto';
import type { Piece } from '@keelos/as-core/delta-layout.ts';
import type { Packer } from '@keelos/as-core/delta-pack.ts';
import { dataRun, metadataRun } from '@keelos/as-core/delta-pack.ts';
import type { CoreWorkers } from '@keelos/as-core/workers.ts';
import type { Side } from '../core/delta-draft.ts';
import { packedBytes } from '../core/delta-draft.ts';

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

/** How {@link checkEncoder} works. */
export interface EncodeOptions {
  readonly target: Side;
  readonly level: number;
  readonly packer: Packer;
  readonly frames: MadeFrames;
}

/** What the encoder makes of pieces. */
export interface EncoderCheck {
  /** Whether it made some of the first ones as they are: most likely it makes all. */
  readonly isLikely: boolean;
  /** The pieces that it does not make to the bytes that they have. */
  readonly unmade: Promise<ReadonlySet<Piece>>;
}

/**
 * Tries a few pieces, and begins with the rest: one job for each worker, so that they go on while this thread is busy.
 */
export async function checkEncoder(
  pieces: readonly UnpackedPiece[],
  options: EncodeOptions,
): Promise<EncoderCheck> {
  // Of a kernel delta-kernels.ts finds it out.
  const packed = pieces.filter(({ piece }) => piece.kind === 'data' || piece.kind === 'metadata');
  const sample = packed.filter(({ piece }) => piece.kind === 'data').slice(0, SAMPLE_PIECES);
  const known = await unmadeOf(sample, options);
  if (sample.length > 0 && known.length === sample.length) {
    const all = new Set(packed.map(({ piece }) => piece));
    return { isLikely: false, unmade: Promise.resolve(all) };
  }
  const tried = new Set(sample);
  const rest = packed.filter((each) => !tried.has(each));
  const shares = sharesOf(rest, options.packer.lanes);
  const judging = Promise.all(shares.map((share) => unmadeOf(share, options)));
  const unmade = judging.then((found) => new Set([...known, ...found.flat()]));
  // Whoever has failed before does not wait for it any more.
  unmade.catch(() => undefined);
  return { isLikely: true, unmade };
}

async function unmadeOf(
  pieces: readonly UnpackedPiece[],
  { target, level, packer, frames }: EncodeOptions,
): Promise<Piece[]> {
  if (pieces.length === 0) return [];
  const made = await packer.pack(
    pieces.map(({ content }) => content),
    level,
  );
  return pieces.flatMap(({ piece, content }, index) => {
    const frame = made[index] ?? new Uint8Array(0);
    if (!isMade(target, piece, { content, frame })) return [piece];
    frames.keep(content, frame);
    return [];
  });
}

function isMade(
  target: Side,
  piece: Piece,
  { content, frame }: { readonly content: Uint8Array; readonly frame: Uint8Array },
): boolean {
  const run = piece.kind === 'data' ? dataRun : metadataRun;
  return packedBytes(target, piece).equals(run([content], [frame]));
}

/** The pieces dealt out. */
function sharesOf(pieces: readonly UnpackedPiece[], count: number): UnpackedPiece[][] {
  const shares = Array.from({ length: count }, (): UnpackedPiece[] => []);
  for (const [index, piece] of pieces.entries()) shares[index % count]?.push(piece);
  return shares;
}
