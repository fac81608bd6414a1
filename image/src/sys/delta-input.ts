/** What a delta is made of: two bundles, or two plain SquashFS files. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { BundleTail } from '@keelos/proto/bundle.ts';
import { encodeSignatures } from '@keelos/proto/bundle-writer.ts';
import type { DeltaSide } from '@keelos/proto/delta.ts';
import { PLAIN_IMAGE } from '@keelos/proto/delta.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { hasFooter, readTail } from './bundle-file.ts';
import { isSquashfs } from './image-file.ts';

const READ_BYTES = 2 ** 24;

/** One of them, in memory. */
export interface DeltaInput {
  readonly path: string;
  /** Data of the root, then the kernel image. */
  readonly packed: Buffer;
  readonly side: DeltaSide;
  /** Release, or "image". */
  readonly version: string;
  /** What stands behind the kernel image of a bundle. */
  readonly tail: BundleTail | undefined;
  readonly manifestBytes: Buffer;
  readonly signatureBytes: Buffer;
  /** Size of the whole file. */
  readonly fileBytes: number;
}

/**
 * Reads a bundle or a plain SquashFS.
 *
 * @param of.bytesMax most that may be taken into memory
 * @throws KeelError E_BUNDLE_…, E_IMAGE_INVALID when it is neither, or too large
 */
export async function readDeltaInput(
  path: string,
  of: { readonly bytesMax: number },
): Promise<DeltaInput> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (!(await isSquashfs(file, 0))) {
      throw new KeelError('E_IMAGE_INVALID', `Cannot read ${path}: it begins with no SquashFS`);
    }
    if (size > of.bytesMax) {
      const reason = `${size} bytes, at most ${of.bytesMax} fit into the memory that it may take`;
      throw new KeelError('E_IMAGE_INVALID', `Cannot read ${path}: ${reason}`);
    }
    return (await hasFooter(file))
      ? await readBundle(path, file, size)
      : await readPlain(path, file, size);
  } finally {
    await file.close();
  }
}

async function readBundle(path: string, file: FileHandle, fileBytes: number): Promise<DeltaInput> {
  const tail = await readTail(file);
  const { root, uki, version } = tail.manifest;
  const packed = Buffer.allocUnsafe(root.dataBytes + uki.size);
  await fill(file, 0, packed.subarray(0, root.dataBytes));
  await fill(file, uki.offset, packed.subarray(root.dataBytes));
  const hash = createHash('sha256').update(packed.subarray(0, root.dataBytes));
  const dataSha256 = hash.copy().digest('hex');
  const tree = Buffer.allocUnsafe(root.size - root.dataBytes);
  await fill(file, root.dataBytes, tree);
  const ukiSha256 = sha256(packed.subarray(root.dataBytes));
  // A delta from or to damaged bytes would prove itself, and be of no use anywhere else.
  for (const [name, found, expected] of [
    ['root', hash.update(tree).digest('hex'), root.sha256],
    ['kernel image', ukiSha256, uki.sha256],
  ] as const) {
    if (found === expected) continue;
    throw new KeelError('E_BUNDLE_DAMAGED', `Cannot use ${path}: its ${name} is damaged`);
  }
  const side = {
    dataBytes: root.dataBytes,
    rootHash: root.rootHash,
    sha256: dataSha256,
    ukiBytes: uki.size,
    ukiSha256,
  };
  return {
    ...{ path, packed, side, version, tail, fileBytes },
    manifestBytes: Buffer.from(tail.manifestBytes),
    signatureBytes: encodeSignatures(tail.signatures),
  };
}

async function readPlain(path: string, file: FileHandle, fileBytes: number): Promise<DeltaInput> {
  const packed = Buffer.allocUnsafe(fileBytes);
  await fill(file, 0, packed);
  const hash = { sha256: sha256(packed), rootHash: '', ukiSha256: '' };
  return {
    ...{ path, packed, fileBytes, version: PLAIN_IMAGE, tail: undefined },
    side: { dataBytes: fileBytes, ukiBytes: 0, ...hash },
    manifestBytes: Buffer.alloc(0),
    signatureBytes: Buffer.alloc(0),
  };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function fill(file: FileHandle, offset: number, target: Buffer): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const length = Math.min(READ_BYTES, target.length - done);
    const { bytesRead } = await file.read(target, done, length, offset + done);
    if (bytesRead === 0) {
      throw new KeelError('E_BUNDLE_TRUNCATED', `Cannot read file: it ends at ${offset + done}`);
    }
    done += bytesRead;
  }
}
