import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { DATA_BLOCKS_MAX, judgeTree, treeOver, treeShape } from '@keelos/as-core/verity-tree.ts';

const BLOCK_BYTES = 4096;

/** Blocks of each level, the one next to the data first. */
const shapes: readonly (readonly [number, readonly number[]])[] = [
  [1, []],
  [2, [1]],
  [127, [1]],
  [128, [1]],
  [129, [2, 1]],
  [128 * 128 - 1, [128, 1]],
  [128 * 128, [128, 1]],
  [128 * 128 + 1, [129, 2, 1]],
  [128 ** 3, [128 * 128, 128, 1]],
  [128 ** 3 + 1, [128 * 128 + 1, 129, 2, 1]],
  [DATA_BLOCKS_MAX, [131_072, 1024, 8, 1]],
];

function hash(blocks: Uint8Array): Uint8Array {
  const digests: Buffer[] = [];
  for (let offset = 0; offset < blocks.length; offset += BLOCK_BYTES) {
    const block = blocks.subarray(offset, offset + BLOCK_BYTES);
    digests.push(createHash('sha256').update(block).digest());
  }
  return Buffer.concat(digests);
}

/** Digests of `count` blocks, all different. */
function leavesOf(count: number): Buffer {
  const number = Buffer.alloc(4);
  const digests = Array.from({ length: count }, (_, index) => {
    number.writeUInt32LE(index);
    return createHash('sha256').update(number).digest();
  });
  return Buffer.concat(digests);
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ 1;
}

describe('the hash tree', () => {
  for (const [dataBlocks, expected] of shapes) {
    it(`over ${dataBlocks} blocks has levels of ${expected.join(', ') || 'nothing'}`, () => {
      const { levels, sizeBytes } = treeShape(dataBlocks);
      assert.deepEqual(
        levels.map(({ blocks }) => blocks),
        expected,
      );
      assert.deepEqual(
        levels.map(({ level }) => level),
        expected.map((_, index) => index + 1),
      );
      let end = sizeBytes;
      for (const { blocks, offsetBytes } of levels) {
        end -= blocks * BLOCK_BYTES;
        assert.equal(offsetBytes, end);
      }
      assert.equal(end, 0);
    });
  }

  it('covers 1 block to 64 GiB', () => {
    for (const count of [0, -1, 1.5, DATA_BLOCKS_MAX + 1, Number.NaN, 2 ** 53]) {
      assert.throws(() => treeShape(count), RangeError);
    }
  });

  it('names each damaged block of the tree, and no block of good data', () => {
    const leaves = leavesOf(300);
    const { tree, rootHash } = treeOver(leaves, hash);
    const blocks = tree.length / BLOCK_BYTES;
    for (let damaged = 0; damaged < blocks; damaged++) {
      const broken = Buffer.from(tree);
      flip(broken, damaged * BLOCK_BYTES + ((damaged * 977) % BLOCK_BYTES));
      const expected = damaged === 0 ? { level: 2, block: 0 } : { level: 1, block: damaged - 1 };
      assert.deepEqual([...judgeTree({ leaves, tree: broken, rootHash }, hash)], [expected]);
    }
  });

  it('names all blocks of a tree that is gone, and no block of good data', () => {
    const leaves = leavesOf(300);
    const { tree, rootHash } = treeOver(leaves, hash);
    const gone = Buffer.alloc(tree.length);
    assert.deepEqual(
      [...judgeTree({ leaves, tree: gone, rootHash }, hash)],
      [{ level: 2, block: 0 }, ...[0, 1, 2].map((block) => ({ level: 1, block }))],
    );
  });

  it('names damaged data and the damaged tree above it', () => {
    const leaves = leavesOf(300);
    const { tree, rootHash } = treeOver(leaves, hash);
    const broken = Buffer.from(tree);
    // The digest of block 130, in the second block of level 1.
    flip(broken, 2 * BLOCK_BYTES + 2 * 32);
    flip(leaves, 131 * 32);
    flip(leaves, 7 * 32);
    assert.deepEqual(
      [...judgeTree({ leaves, tree: broken, rootHash }, hash)],
      [{ level: 1, block: 1 }, ...[7, 130, 131].map((block) => ({ level: 0, block }))],
    );
  });

  it('is judged by the root hash alone when there is one block', () => {
    const leaves = leavesOf(1);
    const { tree, rootHash } = treeOver(leaves, hash);
    assert.equal(tree.length, 0);
    assert.deepEqual([...judgeTree({ leaves, tree, rootHash }, hash)], []);
    assert.deepEqual(
      [...judgeTree({ leaves: leavesOf(2).subarray(32), tree, rootHash }, hash)],
      [{ level: 0, block: 0 }],
    );
  });
});
