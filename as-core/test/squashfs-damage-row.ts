/** How a damage of a SquashFS image is written down. */
import type { Status } from '../src/status.ts';
import type { Sample } from './squashfs-sample.ts';

/** Block size of the samples. */
export const SAMPLE_BLOCK_BYTES = 4096;

type SquashfsName = Extract<keyof typeof Status, `squashfs${string}`>;

/** What is done: `b` is changed in place, or another buffer comes back. */
export type Change = (b: Buffer, s: Sample) => Buffer | undefined | number | bigint;

/** Name of a status, what is damaged, how. */
export type Damage = readonly [name: SquashfsName, what: string, change: Change];

/** All bits of a 32-bit field. */
export const NONE = 0xffffffff;
/** No image is that long. */
export const FAR = 1n << 40n;
/** Size words: the block is not packed. */
export const PLAIN = 1 << 24;

/** Adds one to a byte. */
export function add(b: Buffer, at: number): number {
  return b.writeUInt8((b.readUInt8(at) + 1) & 0xff, at);
}
