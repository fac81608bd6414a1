/** Copy lists while a delta is made: what they are worth for each piece, and what is left of them without some pieces. Pure. */
import { constants, zstdCompressSync } from 'node:zlib';
import type { Copy } from '@keelos/as-core/delta-copy.ts';
import type { Layout, Piece } from '@keelos/as-core/delta-layout.ts';
import type { Span } from '@keelos/as-core/delta-patch.ts';
import type { Draft } from './delta-draft.ts';
import type { PatchedPiece } from './delta-steps.ts';

const QUICK = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };
/** What the coder makes of what quick zstd makes of the same bytes, at worst, */
const CODER_GAIN = 0.8;
/** unless that has hardly made them smaller: then they are noise for the coder too. */
const NOISE_SHARE = 0.95;
/**
 * A block, or a kernel, of which more than a quarter of the bytes changed takes long to decode, so its patch must be less than half as
 * large as its packed bytes, which are copied in no time.
 */
const CHANGED_SHARE_MAX = 0.25;
const CHANGED_GAIN_MIN = 2;
/** Decoded in no time. */
const SMALL_BYTES = 8192;

/** Both sides of a patch. */
export interface PatchSides {
  /** All unpacked bytes of the source. */
  readonly old: Uint8Array;
  /** The patched bytes. */
  readonly patched: Uint8Array;
}

/**
 * Pieces that are smaller as they are than patched: where the source has nothing like them.
 *
 * @param copies sorted, over all of `pieces`
 */
export function unlikePieces(
  sides: PatchSides,
  {
    copies,
    pieces,
  }: { readonly copies: readonly Copy[]; readonly pieces: readonly PatchedPiece[] },
): Set<Piece> {
  const unlike = new Set<Piece>();
  let first = 0;
  for (const { piece, start } of pieces) {
    const end = start + piece.unpackedBytes;
    while (first < copies.length && endOf(copies[first]) <= start) first += 1;
    const residual = Buffer.from(sides.patched.subarray(start, end));
    for (let index = first; (copies[index]?.newOffset ?? end) < end; index++) {
      const copy = copies[index];
      if (copy === undefined) break;
      subtract(residual, { copy, start, old: sides.old });
    }
    const isSlow =
      (piece.kind === 'data' || piece.kind === 'kernel') &&
      residual.length > SMALL_BYTES &&
      changedBytes(residual) > residual.length * CHANGED_SHARE_MAX;
    const cost = codedBytes(residual) * (isSlow ? CHANGED_GAIN_MIN : 1);
    if (cost >= piece.packedBytes) unlike.add(piece);
  }
  return unlike;
}

/** About what the coder makes of bytes. */
function codedBytes(bytes: Uint8Array): number {
  const quick = zstdCompressSync(bytes, QUICK).length;
  return quick > bytes.length * NOISE_SHARE ? bytes.length : quick * CODER_GAIN;
}

function endOf(copy: Copy | undefined): number {
  return copy === undefined ? 0 : copy.newOffset + copy.length;
}

/** Leaves of the bytes from `start` on what differs from what a copy brings. */
function subtract(
  residual: Buffer,
  { copy, start, old }: { readonly copy: Copy; readonly start: number; readonly old: Uint8Array },
): void {
  const from = Math.max(copy.newOffset, start) - start;
  const to = Math.min(copy.newOffset + copy.length, start + residual.length) - start;
  const shift = copy.oldOffset - copy.newOffset + start;
  for (let at = from; at < to; at++) {
    residual[at] = (residual[at] ?? 0) - (old[at + shift] ?? 0);
  }
}

function changedBytes(residual: Uint8Array): number {
  let count = 0;
  for (const byte of residual) if (byte !== 0) count += 1;
  return count;
}

/** A stretch that stays, and where it begins afterwards. */
export interface KeptStretch {
  readonly start: number;
  readonly length: number;
  readonly newStart: number;
}

/** The copies within stretches that stay, in their new places. */
export function keptCopies(copies: readonly Copy[], stretches: readonly KeptStretch[]): Copy[] {
  const kept: Copy[] = [];
  let first = 0;
  for (const { start, length, newStart } of stretches) {
    const end = start + length;
    while (first < copies.length && endOf(copies[first]) <= start) first += 1;
    for (let index = first; (copies[index]?.newOffset ?? end) < end; index++) {
      const copy = copies[index];
      if (copy === undefined) break;
      const from = Math.max(copy.newOffset, start);
      const to = Math.min(endOf(copy), end);
      append(kept, {
        newOffset: from - start + newStart,
        oldOffset: copy.oldOffset + from - copy.newOffset,
        length: to - from,
      });
    }
  }
  return kept;
}

/** Puts a copy behind the others, as a part of the last one where it goes on. */
function append(copies: Copy[], copy: Copy): void {
  const last = copies.at(-1);
  const goesOn =
    last !== undefined &&
    endOf(last) === copy.newOffset &&
    last.oldOffset + last.length === copy.oldOffset;
  if (!goesOn) copies.push(copy);
  else copies[copies.length - 1] = { ...last, length: last.length + copy.length };
}

/** What is copied as it is, as copies of unpacked bytes: pieces of the source that are in the target too. */
export function pieceCopies(source: Layout, drafts: readonly Draft[]): Copy[] {
  const places = new Map(source.pieces.map((piece) => [piece.place, piece]));
  return drafts.flatMap(({ piece, how }): Copy[] => {
    const from = how.kind === 'copy' ? places.get(how.from) : undefined;
    if (from?.unpackedBytes !== piece.unpackedBytes) return [];
    const { unpackedPlace: newOffset, unpackedBytes: length } = piece;
    return [{ newOffset, oldOffset: from.unpackedPlace, length }];
  });
}

/** All copies of several lists that have nothing in common, sorted; those that go on are one. */
export function joinedCopies(...lists: readonly (readonly Copy[])[]): Copy[] {
  const joined: Copy[] = [];
  const sorted = lists.flat().sort((a, b) => a.newOffset - b.newOffset);
  for (const copy of sorted) append(joined, copy);
  return joined;
}

/** The unpacked bytes of pieces, those that follow each other as one. */
export function spansOf(pieces: readonly Piece[]): Span[] {
  const spans: Span[] = [];
  for (const { unpackedPlace: offset, unpackedBytes: length } of pieces) {
    const last = spans.at(-1);
    if (last === undefined || last.offset + last.length !== offset) spans.push({ offset, length });
    else spans[spans.length - 1] = { ...last, length: last.length + length };
  }
  return spans;
}
