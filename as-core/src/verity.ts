/**
 * dm-verity over files: makes the hash tree of an image, checks a whole image, or one block.
 *
 * Format 1, SHA-256, blocks of 4096 bytes, salt of 0 to 256 bytes: what `veritysetup format --no-superblock` makes.
 */
/// <reference path="./web-assembly.d.ts" />
import { type HashEngine, RANGE_BLOCKS } from './hash-blocks-job.ts';
import { compileModule } from './load.ts';
import { BLOCK_BYTES, DIGEST_BYTES, VerityHasher } from './verity-hasher.ts';
import {
  type BadBlock,
  DIGESTS_PER_BLOCK,
  digestAt,
  judgeTree,
  treeOver,
  treeShape,
} from './verity-tree.ts';
import { CoreWorkers, type JobRunner } from './workers.ts';

/** Bad blocks that are named; all are counted. */
export const BAD_BLOCKS_NAMED_MAX = 64;

/** Data in a file, and how it is hashed. */
export interface HashedData {
  /** Open for reading, until the promise settles. */
  readonly fd: number;
  /** Where the data begins in the file, 0 unless told. */
  readonly offsetBytes?: number;
  readonly dataBlocks: number;
  /** At most 256 bytes. */
  readonly salt: Uint8Array;
  /** Who hashes; a single worker of its own unless told. */
  readonly workers?: JobRunner | undefined;
  /** Whether the SHA-256 of the data is wanted too, true unless told: it costs a second hash of everything. */
  readonly withSha256?: boolean;
  /** Who hashes the blocks of data; unless told, whoever is faster on this processor. */
  readonly engine?: HashEngine | undefined;
  /** Called now and then with the bytes of data that are done. */
  readonly onProgress?: ((doneBytes: number) => void) | undefined;
  /** Gives up: the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Data with its hash tree in the same file. */
export interface VerityImage extends HashedData {
  /** Where the tree begins in the file. */
  readonly hashOffset: number;
  /** 64 hexadecimal digits. */
  readonly rootHash: string;
}

/** A hash tree. */
export interface HashTree {
  /** 64 hexadecimal digits. */
  readonly rootHash: string;
  /** As it lies on the disk behind the data, highest level first; empty for a single block. */
  readonly tree: Buffer;
  /** SHA-256 of the data in hex; empty when it was not wanted. */
  readonly sha256: string;
}

/** What is wrong with an image. */
export interface VerityReport {
  /** Every block of data and of the tree is what the root hash says. */
  readonly ok: boolean;
  /** SHA-256 of the data in hex; empty when it was not wanted. */
  readonly sha256: string;
  /** The first {@link BAD_BLOCKS_NAMED_MAX}, from the root down. */
  readonly bad: readonly BadBlock[];
  readonly badCount: number;
}

/**
 * The hash tree over the data, byte for byte the one of veritysetup.
 *
 * @throws CoreError "verity-image-too-short" when the file ends before the last block
 * @throws RangeError for a salt or a number of blocks out of range
 */
export async function buildHashTree(data: HashedData): Promise<HashTree> {
  const hasher = new VerityHasher(await compileModule('verity'), data.salt);
  const { leaves, sha256 } = await hashData(data);
  const { tree, rootHash } = treeOver(leaves, (blocks) => hasher.hash(blocks));
  return { rootHash: Buffer.from(rootHash).toString('hex'), tree, sha256 };
}

/**
 * Checks every block of data and of the tree against the root hash. What is wrong is in the answer, not thrown.
 *
 * @throws CoreError "verity-image-too-short" when the file ends before the last block of data or tree
 * @throws RangeError for a salt, a root hash or a number of blocks out of range
 */
export async function verifyImage(image: VerityImage): Promise<VerityReport> {
  const rootHash = rootHashBytes(image.rootHash);
  const hasher = new VerityHasher(await compileModule('verity'), image.salt);
  const tree = readTree(image, hasher);
  const { leaves, sha256 } = await hashData(image);
  const bad: BadBlock[] = [];
  let badCount = 0;
  for (const each of judgeTree({ leaves, tree, rootHash }, (blocks) => hasher.hash(blocks))) {
    if (badCount < BAD_BLOCKS_NAMED_MAX) bad.push(each);
    badCount += 1;
  }
  return { ok: badCount === 0, sha256, bad, badCount };
}

/**
 * Whether one block of data, and every block of the tree on its way to the root, is what the root hash says. Reads these
 * blocks and no others, in the calling thread.
 *
 * @throws CoreError "verity-image-too-short" when the file ends before one of them
 * @throws RangeError for a salt, a root hash, a number of blocks or a block out of range
 */
export async function verifyBlock(
  image: VerityImage & { readonly block: number },
): Promise<boolean> {
  const { fd, offsetBytes = 0, dataBlocks, hashOffset, block } = image;
  const rootHash = rootHashBytes(image.rootHash);
  const { levels } = treeShape(dataBlocks);
  if (!Number.isInteger(block) || block < 0 || block >= dataBlocks) {
    throw new RangeError(`Cannot verify block ${block} of ${dataBlocks}`);
  }
  const hasher = new VerityHasher(await compileModule('verity'), image.salt);
  const digest = new Uint8Array(DIGEST_BYTES);
  let index = block;
  hasher.read({ fd, offsetBytes: offsetBytes + index * BLOCK_BYTES, count: 1 });
  hasher.hashRead(digest);
  for (const level of levels) {
    const place = index % DIGESTS_PER_BLOCK;
    index = Math.floor(index / DIGESTS_PER_BLOCK);
    let holdsDigest = false;
    const start = hashOffset + level.offsetBytes + index * BLOCK_BYTES;
    hasher.read({ fd, offsetBytes: start, count: 1 }, (bytes) => {
      holdsDigest = Buffer.compare(digestAt(bytes, place), digest) === 0;
    });
    if (!holdsDigest) return false;
    hasher.hashRead(digest);
  }
  return Buffer.compare(digest, rootHash) === 0;
}

function rootHashBytes(hex: string): Buffer {
  if (!/^[0-9a-f]{64}$/i.test(hex)) throw new RangeError('A root hash has 64 hexadecimal digits');
  return Buffer.from(hex, 'hex');
}

/** The tree as it lies in the file. */
function readTree({ fd, dataBlocks, hashOffset }: VerityImage, hasher: VerityHasher): Buffer {
  const { sizeBytes } = treeShape(dataBlocks);
  const tree = Buffer.alloc(sizeBytes);
  const pieceBytes = hasher.blocksMax * BLOCK_BYTES;
  for (let done = 0; done < sizeBytes; done += pieceBytes) {
    const count = Math.min(pieceBytes, sizeBytes - done) / BLOCK_BYTES;
    hasher.read({ fd, offsetBytes: hashOffset + done, count }, (bytes) => tree.set(bytes, done));
  }
  return tree;
}

/** Digests of all blocks of the data, 32 bytes each, and its SHA-256, by all workers together. */
async function hashData(data: HashedData): Promise<{ leaves: Uint8Array; sha256: string }> {
  const { fd, offsetBytes = 0, dataBlocks, salt, engine, withSha256 = true } = data;
  treeShape(dataBlocks);
  const rangeCount = Math.ceil(dataBlocks / RANGE_BLOCKS);
  const digests = new SharedArrayBuffer(dataBlocks * DIGEST_BYTES);
  const ranges = new SharedArrayBuffer(rangeCount * Int32Array.BYTES_PER_ELEMENT);
  const workers = data.workers ?? new CoreWorkers(1);
  const failed = new AbortController();
  const signals = data.signal === undefined ? [failed.signal] : [failed.signal, data.signal];
  const signal = AbortSignal.any(signals);
  let doneBytes = 0;
  const onProgress = (bytes: number) => {
    doneBytes += bytes;
    data.onProgress?.(doneBytes);
  };
  const first = withSha256 ? 'stream' : 'forward';
  const jobs = Array.from({ length: Math.min(workers.count, rangeCount) }, (_, index) => {
    const direction = index === 0 ? first : 'backward';
    const input = {
      fd,
      offsetBytes,
      blocks: dataBlocks,
      salt,
      ranges,
      digests,
      direction,
      engine,
    } as const;
    return workers.run('hash-blocks', input, { signal, onProgress });
  });
  try {
    const results = await Promise.all(jobs);
    return { leaves: new Uint8Array(digests), sha256: results[0]?.sha256 ?? '' };
  } catch (error) {
    // No thread may go on reading when the caller closes the file.
    failed.abort(error);
    await Promise.allSettled(jobs);
    throw error;
  } finally {
    if (data.workers === undefined) await workers.close();
  }
}
