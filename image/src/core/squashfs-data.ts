/**
 * What of the files' contents lies where in a SquashFS image: blocks, holes, tails that share a fragment, equal files once.
 * The plan does not depend on how well anything compresses, so the pieces can be compressed in any order, by anybody.
 */
import { createHash } from 'node:crypto';
import type { FileEntry, TreeInode } from './squashfs-tree.ts';

/** Which ends of files share blocks with others. */
export type FragmentRule =
  /** None. */
  | 'none'
  /** Those of files that are smaller than a block. */
  | 'small-files'
  /** The end of every file that does not fill its last block. */
  | 'tails';

/** Block index of a block of nothing but zeros, which is stored nowhere. */
export const HOLE = -1;

/** Where the contents of one file are. */
export interface FilePlan {
  /** Index of each block's piece, consecutive but for {@link HOLE}s. */
  readonly blocks: readonly number[];
  /** The rest behind the blocks. */
  readonly fragment: { readonly index: number; readonly offset: number } | undefined;
  /** Bytes in holes. */
  readonly holeBytes: number;
}

/** Where everything is. */
export interface DataPlan {
  /** What is compressed, each at most one block, in the order in which it lies in the image. */
  readonly pieces: readonly Uint8Array[];
  /** Index of the piece of each fragment. */
  readonly fragments: readonly number[];
  readonly files: ReadonlyMap<TreeInode, FilePlan>;
  /** Whether a file was found to be equal to another. */
  readonly hasDuplicates: boolean;
}

const SHA256 = 'sha256';

interface PlannedFile {
  readonly inode: TreeInode;
  readonly entry: FileEntry;
}

/**
 * In the order of their data: by rank, then by path, so that what lies in one directory lies together. The bytes of the
 * path decide, never a language.
 */
function inDataOrder(inodes: readonly TreeInode[]): PlannedFile[] {
  const files: PlannedFile[] = [];
  for (const inode of inodes) {
    if (inode.entry.type === 'file') files.push({ inode, entry: inode.entry });
  }
  return files.sort(
    (a, b) =>
      (a.entry.rank ?? 0) - (b.entry.rank ?? 0) ||
      Buffer.compare(Buffer.from(a.entry.path), Buffer.from(b.entry.path)),
  );
}

/** A fragment that still takes tails. */
interface OpenFragment {
  readonly tails: Uint8Array[];
  sizeBytes: number;
}

/** Plans the data of a tree. */
export function planData(
  inodes: readonly TreeInode[],
  options: { readonly blockBytes: number; readonly fragments: FragmentRule },
): DataPlan {
  const { blockBytes } = options;
  const zeros = Buffer.alloc(blockBytes);
  const pieces: Uint8Array[] = [];
  const fragments: number[] = [];
  const files = new Map<TreeInode, FilePlan>();
  const seen = new Map<string, FilePlan>();
  let open: OpenFragment = { tails: [], sizeBytes: 0 };
  let rank = 0;
  let hasDuplicates = false;

  const closeFragment = () => {
    if (open.sizeBytes === 0) return;
    fragments.push(pieces.push(Buffer.concat(open.tails)) - 1);
    open = { tails: [], sizeBytes: 0 };
  };
  const addTail = (tail: Uint8Array) => {
    if (open.sizeBytes + tail.length > blockBytes) closeFragment();
    const place = { index: fragments.length, offset: open.sizeBytes };
    open.tails.push(tail);
    open.sizeBytes += tail.length;
    return place;
  };
  const planFile = (contents: Uint8Array): FilePlan => {
    const blocks: number[] = [];
    let holeBytes = 0;
    const tailAt = tailOffset(contents.length, options);
    let tail: Uint8Array | undefined;
    for (let offset = 0; offset < contents.length; offset += blockBytes) {
      const block = contents.subarray(offset, offset + blockBytes);
      if (zeros.compare(block, 0, block.length, 0, block.length) === 0) {
        blocks.push(HOLE);
        holeBytes += block.length;
      } else if (offset === tailAt) {
        tail = block;
      } else {
        blocks.push(pieces.push(block) - 1);
      }
    }
    // Only now: the fragment that this may complete must not lie between the blocks.
    return { blocks, fragment: tail && addTail(tail), holeBytes };
  };

  for (const { inode, entry } of inDataOrder(inodes)) {
    // A fragment of two ranks would change with the more restless one.
    if ((entry.rank ?? 0) !== rank) closeFragment();
    rank = entry.rank ?? 0;
    const digest = createHash(SHA256).update(entry.contents).digest('base64');
    const equal = seen.get(digest);
    if (equal !== undefined && entry.contents.length > 0) hasDuplicates = true;
    const plan = equal ?? planFile(entry.contents);
    seen.set(digest, plan);
    files.set(inode, plan);
  }
  closeFragment();
  return { pieces, fragments, files, hasDuplicates };
}

/** Where the part of a file begins that goes into a fragment; past its end when none does. */
function tailOffset(
  length: number,
  options: { readonly blockBytes: number; readonly fragments: FragmentRule },
): number {
  const { blockBytes, fragments } = options;
  if (fragments === 'none' || (fragments === 'small-files' && length >= blockBytes)) return length;
  return length - (length % blockBytes);
}
