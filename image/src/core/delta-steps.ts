/** The plan of a delta from the drafts of its pieces: neighbours that come to be the same way are one step. Pure. */
import { crc32 } from 'node:zlib';
import type { Piece } from '@keelos/as-core/delta-layout.ts';
import { type PlanStep, RUN_BYTES_MAX } from '@keelos/proto/delta.ts';
import { METADATA_BLOCK_BYTES } from '@keelos/proto/delta-writer.ts';
import { type Draft, packedBytes, type Side } from './delta-draft.ts';

/** Most blocks of a step. */
const BLOCKS_MAX = 4096;
/** A step that only copies or carries can be gone on with behind each so many bytes. */
const STREAM_BYTES_MAX = 16 * 2 ** 20;

/** A step that still grows. */
interface Open {
  readonly kind: PlanStep['kind'];
  readonly from: number;
  readonly blocks: number[];
  bytes: number;
  taken: number;
  crc: number;
}

/**
 * Steps that make the target.
 *
 * @param dataBytes where the data of the root end: no step goes on over that
 */
export function planSteps(
  target: Pick<Side, 'packed'>,
  { drafts, dataBytes }: { readonly drafts: readonly Draft[]; readonly dataBytes: number },
): PlanStep[] {
  const steps: PlanStep[] = [];
  let open: Open | undefined;
  for (const draft of drafts) {
    const { piece } = draft;
    const next = opened(draft);
    if (open === undefined || piece.place === dataBytes || !canGrow(open, next)) {
      if (open !== undefined) steps.push(closed(open));
      open = next;
    } else {
      open.bytes += next.bytes;
      open.taken += next.taken;
      open.blocks.push(...next.blocks);
    }
    open.crc = crc32(packedBytes(target, piece), open.crc);
  }
  if (open !== undefined) steps.push(closed(open));
  return steps;
}

function opened({ piece, how }: Draft): Open {
  const isPatch = how.kind === 'patch';
  const isBlock = isPatch && (piece.kind === 'data' || piece.kind === 'metadata');
  return {
    kind: how.kind === 'patch' ? piece.kind : how.kind,
    from: how.kind === 'copy' ? how.from : 0,
    blocks: isBlock ? [piece.unpackedBytes] : [],
    bytes: piece.packedBytes,
    taken: isPatch ? piece.unpackedBytes : 0,
    crc: 0,
  };
}

function canGrow(open: Open, next: Open): boolean {
  if (open.kind !== next.kind || open.kind === 'kernel') return false;
  if (open.kind === 'copy' && next.from !== open.from + open.bytes) return false;
  // Only the last metadata block of a step may be short.
  const isShort = (open.blocks.at(-1) ?? 0) !== METADATA_BLOCK_BYTES;
  if (open.kind === 'metadata' && isShort) return false;
  return (
    open.taken + next.taken <= RUN_BYTES_MAX &&
    open.blocks.length < BLOCKS_MAX &&
    (open.taken > 0 || open.bytes + next.bytes <= STREAM_BYTES_MAX)
  );
}

function closed({ kind, from, bytes, taken, blocks, crc }: Open): PlanStep {
  if (kind === 'copy') return { kind, bytes, from, crc32: crc };
  if (kind === 'data' || kind === 'metadata') return { kind, bytes, blocks, crc32: crc };
  if (kind === 'kernel') return { kind, bytes, unpackedBytes: taken, crc32: crc };
  return { kind, bytes, crc32: crc };
}

/** A stretch of the patched bytes that is one piece. */
export interface PatchedPiece {
  readonly piece: Piece;
  /** Place among the patched bytes. */
  readonly start: number;
}

/** The pieces that are made of patched bytes, one behind the other. */
export function patchedPieces(drafts: readonly Draft[]): PatchedPiece[] {
  let start = 0;
  return drafts.flatMap(({ piece, how }) => {
    if (how.kind !== 'patch') return [];
    const patched = { piece, start };
    start += piece.unpackedBytes;
    return [patched];
  });
}

/** The bytes that are carried, one behind the other. */
export function literalBytes(target: Pick<Side, 'packed'>, drafts: readonly Draft[]): Buffer {
  const parts = drafts.flatMap(({ piece, how }) =>
    how.kind === 'literal' ? [packedBytes(target, piece)] : [],
  );
  return Buffer.concat(parts);
}
