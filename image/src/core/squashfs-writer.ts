/**
 * A SquashFS 4.0 image from a tree of entries, in two steps with the compression of the data between them, which whoever
 * calls does as he likes:
 *
 *     planSquashfs: entries -> pieces to compress       layoutSquashfs: plan + compressed pieces -> image
 *
 *     superblock | level | data and fragments | inodes | directories | fragment table | export table | id table | xattrs
 *
 * Pure: equal entries and options make equal bytes. The kernel's reader (fs/squashfs) sets the order of the tables.
 */
import { type DataPlan, type FragmentRule, planData } from './squashfs-data.ts';
import { writeListing } from './squashfs-directory.ts';
import {
  directoryInode,
  fieldList,
  fields,
  fileInode,
  type InodeFacts,
  otherInode,
  reference,
} from './squashfs-inode.ts';
import type { Compress, MetadataPosition } from './squashfs-metadata.ts';
import { createMetadataStream, metadataBlock, metadataTable } from './squashfs-metadata.ts';
import {
  type SquashfsEntry,
  type SquashfsTree,
  squashfsTree,
  type TreeDirectory,
  type TreeInode,
} from './squashfs-tree.ts';
import { type XattrSets, xattrSets, xattrTable } from './squashfs-xattr.ts';

/** What an image is made with. */
export interface SquashfsOptions {
  /** A power of two from 4 KiB to 1 MiB. */
  readonly blockBytes: number;
  /** zstd, 1 to 22: only noted in the image. */
  readonly level: number;
  readonly fragments: FragmentRule;
  /** Time of the image, and of each entry without one of its own. */
  readonly epochSeconds: number;
  /** Whether inodes can be found by their number, as an NFS server wants it. */
  readonly isExportable?: boolean;
}

/** An image before its data is compressed. */
export interface SquashfsPlan {
  readonly tree: SquashfsTree;
  readonly data: DataPlan;
  readonly xattrs: XattrSets;
  /** Owners and groups, ascending. */
  readonly ids: readonly number[];
  readonly options: SquashfsOptions;
}

const MAGIC = 0x7371_7368;
const VERSION_MAJOR = 4;
const ZSTD = 6;
const SUPERBLOCK_BYTES = 96;
const BLOCK_BYTES_MIN = 4096;
const BLOCK_BYTES_MAX = 1_048_576;
const IDS_MAX = 65_535;
const NOT_COMPRESSED = 1 << 24;
const PADDED_TO_BYTES = 4096;
const FLAG = {
  noFragments: 0x10,
  alwaysFragments: 0x20,
  duplicates: 0x40,
  exportable: 0x80,
  noXattrs: 0x200,
  compressorOptions: 0x400,
} as const;

/**
 * Plans an image: what the data pieces are that must be compressed, each on its own.
 *
 * @throws RangeError for entries that no image can hold (see `squashfsTree`, `xattrSets`), more than 65,535 owners, or a
 *   block size that is no power of two from 4 KiB to 1 MiB
 */
export function planSquashfs(
  entries: readonly SquashfsEntry[],
  options: SquashfsOptions,
): SquashfsPlan {
  const { blockBytes } = options;
  const isPower = Number.isInteger(Math.log2(blockBytes));
  if (!isPower || blockBytes < BLOCK_BYTES_MIN || blockBytes > BLOCK_BYTES_MAX) {
    throw new RangeError(`Cannot plan image: no block size: ${blockBytes}`);
  }
  const tree = squashfsTree(entries);
  const owners = tree.inodes.flatMap(({ entry: { uid = 0, gid = 0 } }) => [uid, gid]);
  const ids = [...new Set(owners)].sort((a, b) => a - b);
  if (ids.length > IDS_MAX) throw new RangeError(`Cannot plan image: ${ids.length} owners`);
  const data = planData(tree.inodes, options);
  return { tree, data, xattrs: xattrSets(tree.inodes), ids, options };
}

/** Where the pieces are, and how long. */
interface PlacedPieces {
  readonly starts: readonly number[];
  /** With the bit for "not compressed". */
  readonly sizes: readonly number[];
  readonly stored: readonly Uint8Array[];
  readonly end: number;
}

function placePieces(
  plan: SquashfsPlan,
  packed: readonly Uint8Array[],
  firstOffset: number,
): PlacedPieces {
  const starts: number[] = [];
  const sizes: number[] = [];
  const stored: Uint8Array[] = [];
  let end = firstOffset;
  for (const [index, piece] of plan.data.pieces.entries()) {
    const small = packed[index];
    if (small === undefined)
      throw new RangeError(`Cannot lay out image: piece ${index} is missing`);
    const isSmaller = small.length < piece.length;
    const bytes = isSmaller ? small : piece;
    starts.push(end);
    sizes.push(bytes.length | (isSmaller ? 0 : NOT_COMPRESSED));
    stored.push(bytes);
    end += bytes.length;
  }
  return { starts, sizes, stored, end };
}

/** The bytes of one inode; `directory` is what a directory's listing was found to be. */
function inodeBytes(
  facts: InodeFacts,
  context: {
    readonly plan: SquashfsPlan;
    readonly pieces: PlacedPieces;
    readonly directories: ReadonlyMap<TreeInode, Parameters<typeof directoryInode>[1]>;
  },
): Buffer {
  const { inode } = facts;
  const { entry } = inode;
  if (entry.type === 'directory') {
    const place = context.directories.get(inode);
    if (place === undefined) throw new Error(`the listing of ${entry.path} is not written yet`);
    return directoryInode(facts, place);
  }
  if (entry.type !== 'file') return otherInode(facts);
  const file = context.plan.data.files.get(inode);
  if (file === undefined) throw new Error(`the data of ${entry.path} is not planned`);
  const { starts, sizes } = context.pieces;
  const first = file.blocks.find((block) => block >= 0);
  return fileInode(facts, {
    start: first === undefined ? 0 : (starts[first] ?? 0),
    sizeBytes: entry.contents.length,
    holeBytes: file.holeBytes,
    fragment: file.fragment,
    blockSizes: file.blocks.map((block) => sizes[block] ?? 0),
  });
}

/**
 * Inodes and listings. The inodes of a directory follow each other, and come behind everything deeper, because a listing
 * says where inodes are and a directory's inode where its listing is.
 */
function writeTree(plan: SquashfsPlan, pieces: PlacedPieces, compress: Compress) {
  const { tree, xattrs, ids, options } = plan;
  const idIndex = new Map(ids.map((id, index) => [id, index]));
  const inodes = createMetadataStream(compress);
  const listings = createMetadataStream(compress);
  const places = new Map<TreeInode, MetadataPosition>();
  const directories = new Map<TreeInode, Parameters<typeof directoryInode>[1]>();
  const writeInode = (inode: TreeInode) => {
    // Another name of it was there before.
    if (places.has(inode)) return;
    const { uid = 0, gid = 0, mtimeSeconds = options.epochSeconds } = inode.entry;
    places.set(inode, inodes.position());
    const facts: InodeFacts = {
      inode,
      mtimeSeconds,
      xattrIndex: xattrs.indexOf(inode),
      uidIndex: idIndex.get(uid) ?? 0,
      gidIndex: idIndex.get(gid) ?? 0,
    };
    inodes.write(inodeBytes(facts, { plan, pieces, directories }));
  };
  const writeDirectory = ({ inode, names, parentNumber }: TreeDirectory) => {
    for (const name of names) writeInode(name.inode);
    directories.set(inode, { ...writeListing(listings, { names, places }), parentNumber });
  };
  for (const directory of tree.directories.toReversed()) writeDirectory(directory);
  const root = tree.inodes[0];
  if (root === undefined) throw new Error('a tree has a root');
  writeInode(root);
  const references = tree.inodes.map((inode) => {
    const place = places.get(inode);
    if (place === undefined) throw new Error(`${inode.entry.path} was not written`);
    return reference(place);
  });
  return { inodes: inodes.finish().bytes, listings: listings.finish().bytes, references };
}

function flags({ data, xattrs, options }: SquashfsPlan): number {
  return (
    FLAG.compressorOptions |
    (options.fragments === 'none' ? FLAG.noFragments : 0) |
    (options.fragments === 'tails' ? FLAG.alwaysFragments : 0) |
    (data.hasDuplicates ? FLAG.duplicates : 0) |
    (options.isExportable ? FLAG.exportable : 0) |
    (xattrs.sets.length === 0 ? FLAG.noXattrs : 0)
  );
}

/** Offsets of the tables in the image; undefined for one that is not there. */
interface TableStarts {
  readonly bytesUsed: number;
  readonly ids: number;
  readonly xattrs: number | undefined;
  readonly inodes: number;
  readonly directories: number;
  readonly fragments: number;
  readonly exports: number | undefined;
}

const ABSENT = Buffer.alloc(8, 0xff);

function superblock(plan: SquashfsPlan, root: number, starts: TableStarts): Buffer {
  const { tree, data, ids, options } = plan;
  const start = (offset: number | undefined) =>
    offset === undefined ? ABSENT : fields([8, offset]);
  return Buffer.concat([
    fields([4, MAGIC], [4, tree.inodes.length], [4, options.epochSeconds]),
    fields([4, options.blockBytes], [4, data.fragments.length]),
    fields([2, ZSTD], [2, Math.log2(options.blockBytes)], [2, flags(plan)]),
    fields([2, ids.length], [2, VERSION_MAJOR], [2, 0]),
    fields([8, root], [8, starts.bytesUsed], [8, starts.ids]),
    start(starts.xattrs),
    fields([8, starts.inodes], [8, starts.directories], [8, starts.fragments]),
    start(starts.exports),
  ]);
}

/**
 * The image, padded with zeros to whole 4 KiB.
 *
 * @param packed the pieces of `plan.data`, each compressed with the level of the plan; one that is not smaller than its
 *   piece is not used
 * @param compress compresses metadata; the same way each time
 */
export function layoutSquashfs(
  plan: SquashfsPlan,
  options: { readonly packed: readonly Uint8Array[]; readonly compress: Compress },
): Buffer {
  const { packed, compress } = options;
  const { data, ids, xattrs } = plan;
  // The kernel reads these without the decoder that they may be for: never compressed.
  const level = metadataBlock(fields([4, plan.options.level]), (bytes) => bytes);
  const pieces = placePieces(plan, packed, SUPERBLOCK_BYTES + level.length);
  const tree = writeTree(plan, pieces, compress);
  const parts: Uint8Array[] = [level, ...pieces.stored];
  let end = pieces.end;
  const append = (bytes: Uint8Array) => {
    parts.push(bytes);
    end += bytes.length;
    return end - bytes.length;
  };
  const appendTable = (records: Uint8Array) => {
    const table = metadataTable(records, { at: end, compress });
    return append(table.bytes) + table.listOffset;
  };
  const starts = {
    inodes: append(tree.inodes),
    directories: append(tree.listings),
    fragments: appendTable(
      Buffer.concat(
        data.fragments.map((piece) =>
          fields([8, pieces.starts[piece] ?? 0], [4, pieces.sizes[piece] ?? 0], [4, 0]),
        ),
      ),
    ),
    exports: plan.options.isExportable ? appendTable(fieldList(8, tree.references)) : undefined,
    ids: appendTable(fieldList(4, ids)),
  };
  let xattrStart: number | undefined;
  if (xattrs.sets.length > 0) {
    const table = xattrTable(xattrs.sets, { at: end, compress });
    xattrStart = append(table.bytes) + table.headingOffset;
  }
  const root = tree.references[0] ?? 0;
  const first = superblock(plan, root, { ...starts, xattrs: xattrStart, bytesUsed: end });
  const padding = Buffer.alloc((PADDED_TO_BYTES - (end % PADDED_TO_BYTES)) % PADDED_TO_BYTES);
  return Buffer.concat([first, ...parts, padding]);
}
