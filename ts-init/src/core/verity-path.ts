/**
 * The way from a block of a root file system up its hash tree to the root hash.
 */
import { DIGESTS_PER_BLOCK, digestAt, treeShape } from '@keelos/as-core/verity-tree.ts';
import { VERITY_BLOCK_BYTES, type VerityTable } from '@keelos/proto/verity-table.ts';

/** One block on the way. */
export interface PathStep {
  /** 0: data. */
  readonly level: number;
  /** Where it begins on the device. */
  readonly offsetBytes: number;
  /** Which digest of the next block on the way is its own. */
  readonly slot: number;
}

/** The blocks on the way, the data first, the top of the tree last. */
export function pathOf(table: VerityTable, block: number): PathStep[] {
  const { levels } = treeShape(table.dataBlocks);
  const tree = table.hashStartBlock * VERITY_BLOCK_BYTES;
  const path: PathStep[] = [
    { level: 0, offsetBytes: block * VERITY_BLOCK_BYTES, slot: block % DIGESTS_PER_BLOCK },
  ];
  let index = block;
  for (const { level, offsetBytes } of levels) {
    index = Math.floor(index / DIGESTS_PER_BLOCK);
    const at = tree + offsetBytes + index * VERITY_BLOCK_BYTES;
    path.push({ level, offsetBytes: at, slot: index % DIGESTS_PER_BLOCK });
  }
  return path;
}

/**
 * The blocks on the way that differ from what the next one, or the root hash, says of them.
 *
 * @param found each block of the path with its digest, in the order of `path`
 */
export function pathProblems(
  path: readonly PathStep[],
  found: readonly { readonly bytes: Uint8Array; readonly digest: Uint8Array }[],
  rootHash: string,
): PathStep[] {
  const root = Buffer.from(rootHash, 'hex');
  return path.filter(({ slot }, index) => {
    const above = found[index + 1];
    const expected = above === undefined ? root : digestAt(above.bytes, slot);
    return Buffer.compare(found[index]?.digest ?? new Uint8Array(), expected) !== 0;
  });
}
