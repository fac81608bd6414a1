/** Checks a root file system: its bytes against a root hash, and its structure. */
import type { SquashfsImage, VerifyReport } from '@keelos/as-core/squashfs.ts';
import { verifyImage } from '@keelos/as-core/verity.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { VERITY_BLOCK_BYTES } from '../core/command-line.ts';
import type { Place } from '../sys/root-image.ts';

/** What the bytes must hash to. */
export interface ExpectedHash {
  /** 64 hexadecimal digits. */
  readonly rootHash: string;
  /** Hexadecimal. */
  readonly salt: string;
}

/** Bad blocks that a message names. */
const NAMED_MAX = 4;

/**
 * Checks the root at `source`. The hash tree, if a hash is expected, lies behind the file system.
 *
 * @throws KeelError E_SLOT_DAMAGED when a block is not what the hash says; the message names blocks and files
 * @throws CoreError when the structure is malformed
 */
export async function checkRoot(
  image: SquashfsImage,
  source: Place & { readonly fd: number; readonly expected: ExpectedHash | undefined },
): Promise<VerifyReport> {
  if (source.expected !== undefined) await checkHash(image, { ...source, ...source.expected });
  return image.verify();
}

async function checkHash(
  image: SquashfsImage,
  options: Place & ExpectedHash & { readonly fd: number },
): Promise<void> {
  const { fd, offsetBytes, rootHash } = options;
  const dataBlocks = Math.ceil(image.superblock.usedBytes / VERITY_BLOCK_BYTES);
  const { ok, bad, badCount } = await verifyImage({
    fd,
    offsetBytes,
    dataBlocks,
    rootHash,
    withSha256: false,
    hashOffset: offsetBytes + dataBlocks * VERITY_BLOCK_BYTES,
    salt: Buffer.from(options.salt, 'hex'),
  });
  if (ok) return;
  const named = bad.slice(0, NAMED_MAX).map(({ level, block }) => {
    if (level > 0) return `block ${block} of level ${level} of the hash tree`;
    const files = image.fileOfBlock(block * VERITY_BLOCK_BYTES, { spanBytes: VERITY_BLOCK_BYTES });
    return `block ${block} (${files.slice(0, NAMED_MAX).join(', ')})`;
  });
  const more = badCount > named.length ? ` and ${badCount - named.length} more` : '';
  throw new KeelError(
    'E_SLOT_DAMAGED',
    `Cannot verify root file system: ${named.join(', ')}${more}: not what the root hash says`,
  );
}
