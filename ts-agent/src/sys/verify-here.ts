/** Verification of an image in WebAssembly, in this process and on this thread: for `keel-verifier`, see verifier.ts. */
import { closeSync, openSync } from 'node:fs';
import { JobsHere } from '@keelos/as-core/jobs-here.ts';
import type { FileSystemFindings } from '@keelos/as-core/verify-squashfs-job.ts';
import { verifyImage } from '@keelos/as-core/verity.ts';
import type { ImagePlace } from '@keelos/proto/verifier.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import type { BadBlockAt, ImageFindings } from '../core/slot-contents.ts';

/** How it is verified. */
export interface HereOptions {
  /** Whether the file system is walked too. */
  readonly withFileSystem: boolean;
  readonly onProgress: (doneBytes: number) => void;
}

/** What stands for a file system that nobody looked at. */
const NOT_WALKED: FileSystemFindings = {
  isValid: true,
  code: '',
  problem: '',
  files: 0,
  directories: 0,
  bytes: 0,
};
/** What a bad block of the tree belongs to. */
const IN_TREE = ['[hash tree]'];

/**
 * Verifies, and blocks this thread meanwhile.
 *
 * @throws what the device answers, for example EIO
 */
export async function verifyImageHere(
  place: ImagePlace,
  { withFileSystem, onProgress }: HereOptions,
): Promise<ImageFindings> {
  await forgetCached(place.device);
  const workers = new JobsHere();
  const fd = openSync(place.device, 'r');
  try {
    const { dataBlocks, rootHash } = place;
    const dataBytes = dataBlocks * VERITY_BLOCK_BYTES;
    const { ok, sha256, bad, badCount } = await verifyImage({
      fd,
      dataBlocks,
      rootHash,
      workers,
      onProgress,
      hashOffset: place.hashStartBlock * VERITY_BLOCK_BYTES,
      salt: Buffer.from(place.salt, 'hex'),
    });
    const found = { isIntact: ok, sha256, badCount };
    if (!withFileSystem) return { ...found, bad: unnamed(bad), fileSystem: NOT_WALKED };
    const inData = bad.filter(({ level }) => level === 0);
    const { fileSystem, files } = await workers.run(
      'verify-squashfs',
      {
        fd,
        sizeBytes: dataBytes,
        spanBytes: VERITY_BLOCK_BYTES,
        offsetsBytes: inData.map(({ block }) => block * VERITY_BLOCK_BYTES),
      },
      { onProgress: (doneBytes) => onProgress(dataBytes + doneBytes) },
    );
    // The tree's blocks come first, the data's last.
    const treeCount = bad.length - inData.length;
    const named = bad.map((one, index) => ({ ...one, files: files[index - treeCount] ?? IN_TREE }));
    return { ...found, bad: named, fileSystem };
  } finally {
    closeSync(fd);
    await forgetCached(place.device);
  }
}

function unnamed(bad: readonly { readonly level: number; readonly block: number }[]): BadBlockAt[] {
  return bad.map((one) => ({ ...one, files: [] }));
}

/** _IO(0x12, 97) */
const BLKFLSBUF = 0x1261;

/**
 * Drops what the kernel keeps in memory of a device, so that the disk itself is read, and so that an image that was read
 * once does not stay in memory. What is no device is read as it is.
 */
async function forgetCached(device: string): Promise<void> {
  if (!device.startsWith('/dev/')) return;
  const { default: koffi } = await import('koffi');
  const ioctl = koffi
    .load('libc.so.6')
    .func('int ioctl(int fd, unsigned long request, unsigned long argument)');
  const descriptor = openSync(device, 'r');
  try {
    if (ioctl(descriptor, BLKFLSBUF, 0) !== 0) {
      throw new Error(`Cannot read ${device} anew: the kernel does not drop what it has of it`);
    }
  } finally {
    closeSync(descriptor);
  }
}
