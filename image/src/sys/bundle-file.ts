/** Bundles on disk. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { readBundleTail } from '@keelos/as-core/bundle.ts';
import {
  type BundleManifest,
  type BundlePart,
  type BundleSignature,
  type BundleTail,
  FOOTER_BYTES,
  FOOTER_MAGIC,
  TAIL_BYTES_MAX,
} from '@keelos/proto/bundle.ts';
import { encodeTail } from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { writeAll, writeSynced } from './synced-file.ts';

const COPY_BYTES = 1024 * 1024;
const SQUASHFS_MAGIC = 'hsqs';

/** Whether a file ends with the footer of a bundle. */
export async function hasFooter(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  if (size < FOOTER_BYTES) return false;
  const name = await readAt(file, size - FOOTER_BYTES, FOOTER_MAGIC.length);
  return name.toString('latin1') === FOOTER_MAGIC;
}

/**
 * What stands behind the kernel image of a bundle.
 *
 * @throws KeelError E_BUNDLE_MALFORMED, E_BUNDLE_TRUNCATED, E_BUNDLE_OVERSIZE
 */
export async function readTail(file: FileHandle): Promise<BundleTail> {
  const { size } = await file.stat();
  const start = await readAt(file, 0, Math.min(SQUASHFS_MAGIC.length, size));
  if (size >= SQUASHFS_MAGIC.length && start.toString('latin1') !== SQUASHFS_MAGIC) {
    throw new KeelError('E_BUNDLE_MALFORMED', 'Cannot read bundle: it begins with no SquashFS');
  }
  const length = Math.min(size, TAIL_BYTES_MAX);
  return readBundleTail(await readAt(file, size - length, length), size);
}

/** Bytes of a part, which the caller knows to be small. @throws KeelError E_BUNDLE_TRUNCATED */
export async function readPart(file: FileHandle, { offset, size }: BundlePart): Promise<Buffer> {
  return readAt(file, offset, size);
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) {
      throw new KeelError('E_BUNDLE_TRUNCATED', `Cannot read bundle: it ends at ${offset + done}`);
    }
    done += bytesRead;
  }
  return bytes;
}

/** Gives a part of a file to `see`, in order and in pieces that are good until it returns. */
export async function eachPiece(
  file: FileHandle,
  { offset, size }: Pick<BundlePart, 'offset' | 'size'>,
  see: (piece: Buffer) => Promise<void> | void,
): Promise<void> {
  for (let done = 0; done < size; done += COPY_BYTES) {
    await see(await readAt(file, offset + done, Math.min(COPY_BYTES, size - done)));
  }
}

/** SHA-256 of a part, hexadecimal. */
export async function hashPart(
  file: FileHandle,
  part: Pick<BundlePart, 'offset' | 'size'>,
): Promise<string> {
  const hash = createHash('sha256');
  await eachPiece(file, part, (piece) => void hash.update(piece));
  return hash.digest('hex');
}

/** Where a part comes from. */
export interface PartSource {
  readonly path: string;
  /** Where in the file it begins. */
  readonly offset: number;
}

async function copyPart(
  to: FileHandle,
  { path, offset }: PartSource,
  { name, part }: { readonly name: string; readonly part: BundlePart },
): Promise<void> {
  const from = await open(path, 'r');
  try {
    const hash = createHash('sha256');
    let at = part.offset;
    await eachPiece(from, { offset, size: part.size }, async (piece) => {
      hash.update(piece);
      await writeAll(to, piece, at);
      at += piece.length;
    });
    if (hash.digest('hex') !== part.sha256) {
      const reason = `the SHA-256 of its ${name} is not the one of its manifest`;
      throw new KeelError('E_IMAGE_INVALID', `Cannot copy ${path}: ${reason}`);
    }
  } finally {
    await from.close();
  }
}

/**
 * Writes a bundle, in the place of whatever is at `path`, which may be the file that its parts come from.
 *
 * @throws KeelError E_IMAGE_INVALID when a part is not what the manifest says
 */
export async function writeBundle(of: {
  readonly path: string;
  readonly root: PartSource;
  readonly uki: PartSource;
  readonly manifest: BundleManifest;
  readonly signatures: readonly BundleSignature[];
}): Promise<void> {
  const { path, root, uki, manifest, signatures } = of;
  await writeSynced(path, async (to) => {
    await copyPart(to, root, { name: 'root', part: manifest.root });
    await copyPart(to, uki, { name: 'kernel image', part: manifest.uki });
    const tail = encodeTail(manifest, signatures);
    await writeAll(to, tail, manifest.uki.offset + manifest.uki.size);
  });
}
