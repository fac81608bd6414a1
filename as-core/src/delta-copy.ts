/**
 * The copy list of a delta: which ranges of the new bytes are made from which ranges of the old ones. Copied bytes need
 * not be equal: a copy says where the old bytes are that resemble the new ones most, and what differs is coded apart.
 * New bytes that no copy covers are extra bytes.
 */

/** One copy: `length` bytes at `newOffset` resemble those at `oldOffset`. */
export interface Copy {
  readonly newOffset: number;
  readonly oldOffset: number;
  readonly length: number;
}

/**
 * Looks at a copy list from outside.
 *
 * @throws RangeError unless each copy is at least one byte and inside both sides, and they are sorted by place in the
 *   new bytes without overlap
 */
export function checkCopies(copies: readonly Copy[], oldBytes: number, newBytes: number): void {
  let end = 0;
  for (const [at, { newOffset, oldOffset, length }] of copies.entries()) {
    const isWhole = [newOffset, oldOffset, length].every(Number.isSafeInteger);
    const isInside = oldOffset >= 0 && length >= 1 && oldOffset + length <= oldBytes;
    if (!isWhole || !isInside || newOffset < end || newOffset + length > newBytes) {
      throw new RangeError(`Copy ${at} is out of place: ${newOffset}, ${oldOffset}, ${length}`);
    }
    end = newOffset + length;
  }
}
