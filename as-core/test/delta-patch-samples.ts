/** Pairs of bytes with a copy list, for the tests of the patch coder. */
import fc from 'fast-check';
import type { Copy } from '../src/delta-copy.ts';
import type { PatchInput } from '../src/delta-patch.ts';

/** Numbers that look random, the same ones for the same seed. */
export function numbersOf(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

/** Bytes that look random. */
export function bytesOf(length: number, seed: number): Uint8Array {
  const next = numbersOf(seed);
  return Uint8Array.from({ length }, () => next() >>> 11);
}

interface Part {
  readonly from: number;
  readonly length: number;
  /** New bytes before the copy. */
  readonly extra: number;
  /** One byte in so many is another; 0 for none. */
  readonly every: number;
}

/** New bytes that are put together of changed copies and extra bytes. */
export function inputOf(old: Uint8Array, parts: readonly Part[], seed: number): PatchInput {
  const next = numbersOf(seed);
  const copies: Copy[] = [];
  const pieces: Uint8Array[] = [];
  let place = 0;
  for (const { from, length, extra, every } of parts) {
    pieces.push(bytesOf(extra, next()));
    place += extra;
    const oldOffset = Math.min(from, old.length);
    const copied = old.slice(oldOffset, oldOffset + length);
    for (let at = 0; every > 0 && at < copied.length; at += every) {
      copied[at] = (copied[at] ?? 0) + 1 + (next() % 3);
    }
    if (copied.length > 0) copies.push({ newOffset: place, oldOffset, length: copied.length });
    pieces.push(copied);
    place += copied.length;
  }
  return { old, new: Buffer.concat(pieces), copies };
}

/** Any such input of up to some hundred kilobytes. */
export const anyInput: fc.Arbitrary<PatchInput> = fc
  .tuple(
    fc.nat(150_000),
    fc.array(
      fc.record({
        from: fc.nat(150_000),
        length: fc.oneof(fc.nat(40), fc.nat(90_000)),
        extra: fc.oneof(fc.constant(0), fc.nat(300)),
        every: fc.oneof(fc.constant(0), fc.nat(2000)),
      }),
      { maxLength: 6 },
    ),
    fc.nat(),
  )
  .map(([length, parts, seed]) => inputOf(bytesOf(length, seed), parts, seed + 1));
