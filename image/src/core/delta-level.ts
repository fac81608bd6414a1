/** The level that an image was packed with, from its compressor options. Pure. */
import type { Side } from './delta-draft.ts';

const SUPERBLOCK_BYTES = 96;
const FLAGS_AT = 24;
const FLAG_OPTIONS = 0x0400;
const LENGTH_BYTES = 2;
/** What mksquashfs takes, and then writes no options. */
const LEVEL_DEFAULT = 15;

/** Its level, 1 to 22. The options were judged when the layout was read. */
export function levelOf({ packed }: Pick<Side, 'packed'>): number {
  if ((packed.readUInt16LE(FLAGS_AT) & FLAG_OPTIONS) === 0) return LEVEL_DEFAULT;
  return packed.readUInt32LE(SUPERBLOCK_BYTES + LENGTH_BYTES);
}
