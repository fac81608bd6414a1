/** How each piece of a target may come to be: copied from the source as it is, made of patched bytes, or carried. Pure. */
import { createHash } from 'node:crypto';
import type { Layout, Piece } from '@keelos/as-core/delta-layout.ts';

/** One side: its bytes as they lie in it (data of the root, then kernel image), and its pieces. */
export interface Side {
  readonly packed: Buffer;
  readonly layout: Layout;
}

/** A piece of the target, and what makes it. */
export interface Draft {
  readonly piece: Piece;
  readonly how:
    | { readonly kind: 'copy'; readonly from: number }
    | { readonly kind: 'zero' | 'patch' | 'literal' };
}

/** The bytes of a piece as they lie in its image. */
export function packedBytes({ packed }: Pick<Side, 'packed'>, piece: Piece): Buffer {
  return packed.subarray(piece.place, piece.place + piece.packedBytes);
}

/** Finds what the source has already. All else is to be patched, for the time being. */
export function draftPieces(old: Side, target: Side): Draft[] {
  const index = indexOf(old);
  let copyEnd = 0;
  return target.layout.pieces.map((piece): Draft => {
    const bytes = packedBytes(target, piece);
    if (piece.kind === 'raw' && isZero(bytes)) return { piece, how: { kind: 'zero' } };
    // Behind the last copy first, so that copies stay together where there is a choice.
    const follows = old.packed.subarray(copyEnd, copyEnd + bytes.length).equals(bytes);
    const from = follows ? copyEnd : index.get(digest(bytes));
    if (from === undefined) return { piece, how: { kind: 'patch' } };
    copyEnd = from + bytes.length;
    return { piece, how: { kind: 'copy', from } };
  });
}

/** Digest of each piece to its place. */
function indexOf(side: Side): Map<string, number> {
  const index = new Map<string, number>();
  for (const piece of side.layout.pieces) {
    const key = digest(packedBytes(side, piece));
    if (!index.has(key)) index.set(key, piece.place);
  }
  return index;
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64');
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

/** The drafts with literals in the place of some patches. */
export function withLiterals(
  drafts: readonly Draft[],
  isLiteral: (piece: Piece) => boolean,
): Draft[] {
  return drafts.map((draft) => {
    if (draft.how.kind !== 'patch' || !isLiteral(draft.piece)) return draft;
    return { piece: draft.piece, how: { kind: 'literal' } };
  });
}
