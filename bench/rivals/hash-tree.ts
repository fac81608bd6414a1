/** dm-verity by others: veritysetup, and a hasher of one stream that is fed with one block after another. */
import { readSync } from 'node:fs';
import { findCommand } from '../../scripts/lib/apt.mjs';
import { exec } from '../../scripts/lib/exec.mjs';
import type { StreamHasher } from './sha256.ts';

const BLOCK_BYTES = 4096;
const DIGEST_BYTES = 32;
const PIECE_BYTES = 256 * 1024;

/** Blocks at the beginning of a file, and their salt. */
export interface Blocks {
  readonly fd: number;
  readonly dataBlocks: number;
  readonly salt: Uint8Array;
}

/** Digests of whole blocks, 32 bytes each. */
export function digestsOf(bytes: Uint8Array, salt: Uint8Array, hasher: StreamHasher): Buffer {
  const digests = Buffer.alloc((bytes.length / BLOCK_BYTES) * DIGEST_BYTES);
  for (let offset = 0; offset < bytes.length; offset += BLOCK_BYTES) {
    hasher.begin();
    hasher.update(salt);
    hasher.update(bytes.subarray(offset, offset + BLOCK_BYTES));
    digests.set(hasher.end(), (offset / BLOCK_BYTES) * DIGEST_BYTES);
  }
  return digests;
}

/** Digests of the blocks of a file, read 256 KiB at a time. */
export function leavesOf({ fd, dataBlocks, salt }: Blocks, hasher: StreamHasher): Buffer {
  const leaves = Buffer.alloc(dataBlocks * DIGEST_BYTES);
  const piece = Buffer.alloc(PIECE_BYTES);
  const sizeBytes = dataBlocks * BLOCK_BYTES;
  for (let done = 0; done < sizeBytes; ) {
    const wanted = Math.min(PIECE_BYTES, sizeBytes - done);
    const read = readSync(fd, piece, 0, wanted, done);
    if (read !== wanted) throw new Error(`Cannot read ${wanted} bytes at ${done}: ${read} came`);
    const digests = digestsOf(piece.subarray(0, read), salt, hasher);
    leaves.set(digests, (done / BLOCK_BYTES) * DIGEST_BYTES);
    done += read;
  }
  return leaves;
}

/** Root hash by `veritysetup format`, which writes the tree to a file. */
export async function veritysetupRoot(
  data: string,
  { tree, dataBlocks, salt }: { tree: string; dataBlocks: number; salt: Uint8Array },
): Promise<string> {
  const { stdout } = await exec(findCommand('veritysetup') ?? 'veritysetup', [
    ...['format', '--no-superblock', '--format=1', '--hash=sha256', `--data-blocks=${dataBlocks}`],
    ...['--data-block-size=4096', '--hash-block-size=4096'],
    ...[`--salt=${Buffer.from(salt).toString('hex')}`, data, tree],
  ]);
  const rootHash = /Root hash:\s+([0-9a-f]{64})/.exec(stdout)?.[1];
  if (rootHash === undefined) throw new Error(`veritysetup named no root hash: ${stdout}`);
  return rootHash;
}
