/**
 * The shape of a dm-verity hash tree (format 1, blocks of 4096 bytes, digests of 32), with no file in sight.
 *
 * Level 0 is the data. A block of level n + 1 holds the digests of 128 blocks of level n, the last one filled up with
 * zeros. The highest level has one block, and its digest is the root hash; with a single block of data that is the digest
 * of the data itself, and there is no tree. On the disk the highest level comes first:
 *
 *     data … | level 3 | level 2 … | level 1 …
 *
 * https://docs.kernel.org/admin-guide/device-mapper/verity.html, "Hash Tree"
 */
import { BLOCK_BYTES, DIGEST_BYTES } from './verity-hasher.ts';

/** Digests that a block of the tree holds. */
export const DIGESTS_PER_BLOCK = BLOCK_BYTES / DIGEST_BYTES;
/** 64 GiB of data: more than any root, and few enough that a tree fits into memory. */
export const DATA_BLOCKS_MAX = 2 ** 24;

/** One level of the tree. */
export interface TreeLevel {
  /** From 1, next to the data. */
  readonly level: number;
  readonly blocks: number;
  /** Where its first block begins, counted from the beginning of the tree. */
  readonly offsetBytes: number;
}

/** The levels of a tree, level 1 first, and its size. */
export interface TreeShape {
  readonly levels: readonly TreeLevel[];
  readonly sizeBytes: number;
}

/**
 * The tree over `dataBlocks` blocks.
 *
 * @throws RangeError for a number that is not from 1 to {@link DATA_BLOCKS_MAX}
 */
export function treeShape(dataBlocks: number): TreeShape {
  if (!Number.isInteger(dataBlocks) || dataBlocks < 1 || dataBlocks > DATA_BLOCKS_MAX) {
    throw new RangeError(`No hash tree has ${dataBlocks} data blocks: 1 to ${DATA_BLOCKS_MAX}`);
  }
  const counts: number[] = [];
  for (let blocks = dataBlocks; blocks > 1; ) {
    blocks = Math.ceil(blocks / DIGESTS_PER_BLOCK);
    counts.push(blocks);
  }
  let offsetBytes = 0;
  const levels = counts.toReversed().map((blocks, index) => {
    const level = { level: counts.length - index, blocks, offsetBytes };
    offsetBytes += blocks * BLOCK_BYTES;
    return level;
  });
  return { levels: levels.toReversed(), sizeBytes: offsetBytes };
}

/** Hashes whole blocks: 32 bytes each, in order. */
export type HashOfBlocks = (blocks: Uint8Array) => Uint8Array;

/**
 * The tree over data with these digests, as it lies on the disk, and its root hash.
 *
 * @param leaves 32 bytes for each block of data
 * @throws RangeError as {@link treeShape}
 */
export function treeOver(
  leaves: Uint8Array,
  hash: HashOfBlocks,
): { tree: Buffer; rootHash: Uint8Array } {
  const { levels, sizeBytes } = treeShape(leaves.length / DIGEST_BYTES);
  const tree = Buffer.alloc(sizeBytes);
  let digests = leaves;
  for (const level of levels) {
    const blocks = blocksOfLevel(tree, level);
    blocks.set(digests);
    digests = hash(blocks);
  }
  return { tree, rootHash: digests.slice() };
}

/** The bytes of one level. */
export function blocksOfLevel(tree: Uint8Array, { blocks, offsetBytes }: TreeLevel): Uint8Array {
  return tree.subarray(offsetBytes, offsetBytes + blocks * BLOCK_BYTES);
}

/** Digest `index` of several. */
export function digestAt(digests: Uint8Array, index: number): Uint8Array {
  return digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
}

/** A block that is not what the root hash says. */
export interface BadBlock {
  /** 0 is the data, 1 the level of the tree next to it. */
  readonly level: number;
  /** Within its level. */
  readonly block: number;
}

/** What {@link judgeTree} compares. */
export interface Judged {
  /** Digests of the data as it is. */
  readonly leaves: Uint8Array;
  /** The tree as it lies on the disk. */
  readonly tree: Uint8Array;
  readonly rootHash: Uint8Array;
}

/**
 * Every bad block, from the root down.
 *
 * A block is judged by the digest that the level above has for it. Where a block of the tree itself is bad, the digests
 * that the data gives stand in for it if they are what the level above wants: then only the tree was damaged. If they are
 * not, data and tree are both damaged or cannot be told apart, and the blocks below are held against the bad one.
 */
export function* judgeTree(
  { leaves, tree, rootHash }: Judged,
  hash: HashOfBlocks,
): Generator<BadBlock> {
  const { levels } = treeShape(leaves.length / DIGEST_BYTES);
  let remade: Uint8Array | undefined;
  let expected = rootHash;
  for (const level of levels.toReversed()) {
    const found = blocksOfLevel(tree, level);
    const digests = hash(found);
    const trusted = found.slice();
    for (let block = 0; block < level.blocks; block++) {
      if (isSame(digestAt(digests, block), digestAt(expected, block))) continue;
      yield { level: level.level, block };
      remade ??= treeOver(leaves, hash).tree;
      const start = level.offsetBytes + block * BLOCK_BYTES;
      const substitute = remade.subarray(start, start + BLOCK_BYTES);
      if (isSame(hash(substitute), digestAt(expected, block))) {
        trusted.set(substitute, block * BLOCK_BYTES);
      }
    }
    expected = trusted;
  }
  for (let block = 0; block * DIGEST_BYTES < leaves.length; block++) {
    if (!isSame(digestAt(leaves, block), digestAt(expected, block))) yield { level: 0, block };
  }
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
