/** A share of a time, drawn at random, so that a fleet does not do the same at the same moment. Pure. */

/** Random bytes that one takes. */
export const SHARE_BYTES = 6;

/** 0 to below 1, out of {@link SHARE_BYTES} random bytes. */
export function shareOf(random: Uint8Array): number {
  return Buffer.from(random).readUIntBE(0, SHARE_BYTES) / 2 ** (8 * SHARE_BYTES);
}
