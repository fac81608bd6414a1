/**
 * Listings of directories:
 *
 *     header    count - 1 (4) | block of the inodes (4) | inode number (4)
 *     entry     offset in that block (2) | inode number less the header's, signed (2) | type (2) | length - 1 (2) | name
 *
 * A header serves up to 256 entries whose inodes begin in one metadata block. The first header in each further 8 KiB of a
 * large listing has a step in the directory's index, so that a look-up need not read the listing from its start.
 */
import { basicType, type DirectoryIndex, fields } from './squashfs-inode.ts';
import {
  METADATA_BLOCK_BYTES,
  type MetadataPosition,
  type MetadataStream,
} from './squashfs-metadata.ts';
import type { TreeInode, TreeName } from './squashfs-tree.ts';

const RUN_ENTRIES_MAX = 256;
const NUMBER_DELTA_MIN = -0x8000;
const NUMBER_DELTA_MAX = 0x7fff;
const HEADER_BYTES = 12;
const ENTRY_BYTES = 8;
/** The count of steps has 16 bits; with fewer steps a look-up only reads more. */
const INDEX_STEPS_MAX = 0xffff;

/** A listing that was written. */
export interface Listing {
  readonly position: MetadataPosition;
  readonly sizeBytes: number;
  readonly index: readonly DirectoryIndex[];
}

/** Entries behind one header. */
interface Run {
  readonly names: TreeName[];
  readonly blockStart: number;
  readonly number: number;
  sizeBytes: number;
}

function fits(run: Run, name: TreeName, blockStart: number): boolean {
  const delta = name.inode.number - run.number;
  return (
    run.names.length < RUN_ENTRIES_MAX &&
    run.blockStart === blockStart &&
    delta >= NUMBER_DELTA_MIN &&
    delta <= NUMBER_DELTA_MAX &&
    run.sizeBytes + ENTRY_BYTES + name.name.length <= METADATA_BLOCK_BYTES
  );
}

function runsOf(names: readonly TreeName[], places: ReadonlyMap<TreeInode, MetadataPosition>) {
  const runs: Run[] = [];
  for (const name of names) {
    const { blockStart } = placeOf(name, places);
    const last = runs.at(-1);
    if (last !== undefined && fits(last, name, blockStart)) {
      last.names.push(name);
      last.sizeBytes += ENTRY_BYTES + name.name.length;
    } else {
      const sizeBytes = HEADER_BYTES + ENTRY_BYTES + name.name.length;
      runs.push({ names: [name], blockStart, number: name.inode.number, sizeBytes });
    }
  }
  return runs;
}

function placeOf(name: TreeName, places: ReadonlyMap<TreeInode, MetadataPosition>) {
  const place = places.get(name.inode);
  if (place === undefined) throw new Error(`the inode of ${name.name} is not written yet`);
  return place;
}

function runBytes(run: Run, places: ReadonlyMap<TreeInode, MetadataPosition>): Buffer {
  const parts = [fields([4, run.names.length - 1], [4, run.blockStart], [4, run.number])];
  for (const name of run.names) {
    const entry = Buffer.alloc(ENTRY_BYTES);
    entry.writeUInt16LE(placeOf(name, places).offset, 0);
    entry.writeInt16LE(name.inode.number - run.number, 2);
    entry.writeUInt16LE(basicType(name.inode.entry.type), 4);
    entry.writeUInt16LE(name.name.length - 1, 6);
    parts.push(entry, name.name);
  }
  return Buffer.concat(parts);
}

/** Writes the listing of one directory; `places` knows where the inode of each of `names` is. */
export function writeListing(
  stream: MetadataStream,
  options: {
    readonly names: readonly TreeName[];
    readonly places: ReadonlyMap<TreeInode, MetadataPosition>;
  },
): Listing {
  const { names, places } = options;
  // Nothing is read of an empty listing, so it may be anywhere: at the start, which is always in the table's bounds.
  if (names.length === 0) {
    return { position: { blockStart: 0, offset: 0 }, sizeBytes: 0, index: [] };
  }
  const position = stream.position();
  const index: DirectoryIndex[] = [];
  let sizeBytes = 0;
  let lastBlockStart = position.blockStart;
  for (const run of runsOf(names, places)) {
    const { blockStart } = stream.position();
    const name = run.names[0]?.name ?? Buffer.alloc(0);
    if (blockStart !== lastBlockStart && index.length < INDEX_STEPS_MAX) {
      index.push({ listingOffset: sizeBytes, blockStart, name });
      lastBlockStart = blockStart;
    }
    const bytes = runBytes(run, places);
    stream.write(bytes);
    sizeBytes += bytes.length;
  }
  return { position, sizeBytes, index };
}
