/** Verification of an image in WebAssembly, on a thread of its own. */
import { closeSync, openSync } from 'node:fs';
import type { CoreWorkers } from '@keelos/as-core/workers.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import type { BadBlockAt, FileSystemFindings, ImageFindings } from '../core/slot-contents.ts';

/** An image on a block device. */
export interface ImagePlace {
  readonly device: string;
  readonly dataBlocks: number;
  readonly hashStartBlock: number;
  /** Hexadecimal. */
  readonly salt: string;
  readonly rootHash: string;
}

/** How it is verified. */
export interface VerifyOptions {
  readonly signal: AbortSignal;
  /** Whether the file system is walked too. */
  readonly withFileSystem: boolean;
  /** Told the bytes that are done: those of the data and, after it, of the file system walked. */
  readonly onProgress: (doneBytes: number) => void;
}

/**
 * The port: reads the whole image from its device and checks it. Bad bytes are findings, not errors.
 *
 * @throws what the device answers, for example EIO
 */
export type VerifyImage = (place: ImagePlace, options: VerifyOptions) => Promise<ImageFindings>;

/** What stands for a file system that nobody looked at. */
const NOT_WALKED: FileSystemFindings = {
  ...{ isValid: true, code: '', problem: '' },
  ...{ files: 0, directories: 0, bytes: 0 },
};
/** What a bad block of the tree belongs to. */
const IN_TREE = ['[hash tree]'];

/** The one thread, kept from the first call on: its code stays compiled, and no code pages come and go with it. */
let keptWorkers: CoreWorkers | undefined;

/** Verifies on this machine. Nothing of it is loaded, and no thread is started, before the first call. */
export const verifyImageInThread: VerifyImage = async (place, options) => {
  const { CoreWorkers } = await import('@keelos/as-core/workers.ts');
  const { verifyImage } = await import('@keelos/as-core/verity.ts');
  keptWorkers ??= new CoreWorkers(1);
  const workers = keptWorkers;
  const { signal, withFileSystem, onProgress } = options;
  signal.throwIfAborted();
  await forgetCached(place.device);
  const fd = openSync(place.device, 'r');
  try {
    const { dataBlocks, rootHash } = place;
    const dataBytes = dataBlocks * VERITY_BLOCK_BYTES;
    const { ok, sha256, bad, badCount } = await verifyImage({
      ...{ fd, dataBlocks, rootHash, workers, signal, onProgress },
      hashOffset: place.hashStartBlock * VERITY_BLOCK_BYTES,
      salt: Buffer.from(place.salt, 'hex'),
    });
    const found = { isIntact: ok, sha256, badCount };
    if (!withFileSystem) return { ...found, bad: unnamed(bad), fileSystem: NOT_WALKED };
    const inData = bad.filter(({ level }) => level === 0);
    const { fileSystem, files } = await workers.run(
      'verify-squashfs',
      {
        ...{ fd, sizeBytes: dataBytes, spanBytes: VERITY_BLOCK_BYTES },
        offsetsBytes: inData.map(({ block }) => block * VERITY_BLOCK_BYTES),
      },
      { signal, onProgress: (doneBytes) => onProgress(dataBytes + doneBytes) },
    );
    // The tree's blocks come first, the data's last.
    const treeCount = bad.length - inData.length;
    const named = bad.map((one, index) => ({ ...one, files: files[index - treeCount] ?? IN_TREE }));
    return { ...found, bad: named, fileSystem };
  } finally {
    await jobsEnded(workers);
    closeSync(fd);
    await forgetCached(place.device);
    await giveMemoryBack();
  }
};

/** Waits until the thread is through with whatever it was told: a job that was given up may still be reading. */
async function jobsEnded(workers: CoreWorkers): Promise<void> {
  const nothing = new SharedArrayBuffer(0);
  const salt = new Uint8Array();
  await workers.run('hash-blocks', {
    ...{ fd: -1, offsetBytes: 0, blocks: 0, salt },
    ...{ ranges: nothing, digests: nothing, direction: 'forward' },
  });
}

function unnamed(bad: readonly { readonly level: number; readonly block: number }[]): BadBlockAt[] {
  return bad.map((one) => ({ ...one, files: [] }));
}

/** _IO(0x12, 97) */
const BLKFLSBUF = 0x1261;

/** Hands what the thread has left free in the C library's heap back to the kernel, which that does not do by itself. */
async function giveMemoryBack(): Promise<void> {
  const { default: koffi } = await import('koffi');
  koffi.load('libc.so.6').func('int malloc_trim(size_t pad)')(0);
}

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
