/** Makes bundles of built images, and adds signatures to them. */
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type BundleManifest, bundleFileName, SIGNATURES_MAX } from '@keelos/proto/bundle.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import { encodeManifest } from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { bundleManifest } from '../core/bundle-manifest.ts';
import type { ImageManifest } from '../core/image-manifest.ts';
import { readTail, writeBundle } from '../sys/bundle-file.ts';
import { readPrivateKey } from '../sys/key-files.ts';
import { IMAGE_FILES } from './image-files.ts';

/** A bundle on disk. */
export interface MadeBundle {
  readonly path: string;
  readonly manifest: BundleManifest;
  /** Ids of the keys that have signed. */
  readonly keyIds: readonly string[];
}

/** A bundle of an image. */
export interface ImageBundle extends MadeBundle {
  /** False: a node that installs it takes no update ever after. */
  readonly canBeUpdated: boolean;
}

/**
 * Makes the bundle of an image in a folder, signed by each of the keys.
 *
 * @param of.imageDir what `keel-image build` left: root, kernel image and manifest
 * @param of.keys files of private keys; none: it is signed later
 * @throws KeelError E_IMAGE_INVALID when the folder holds no image, or a file is not what its manifest says
 */
export async function makeBundle(of: {
  readonly imageDir: string;
  readonly keys: readonly string[];
  readonly out: string;
}): Promise<ImageBundle> {
  const { imageDir, keys, out } = of;
  const image = await readImageManifest(imageDir);
  const manifest = bundleManifest(image);
  const [root, uki] = [join(imageDir, IMAGE_FILES.root), join(imageDir, IMAGE_FILES.uki)];
  await checkSize(root, manifest.root.size);
  await checkSize(uki, manifest.uki.size);
  const signatures = await signAll(encodeManifest(manifest), keys);
  const path = join(out, bundleFileName(manifest));
  await writeBundle({
    path,
    manifest,
    signatures,
    root: { path: root, offset: 0 },
    uki: { path: uki, offset: 0 },
  });
  const keyIds = signatures.map(({ keyId }) => keyId).toSorted();
  return { path, manifest, keyIds, canBeUpdated: image.trust.keys.length > 0 };
}

/**
 * Adds signatures to a bundle; one of a key that has signed before takes the place of the old one. The bundle is
 * replaced in one step.
 *
 * @param of.out path of the result; the bundle itself when absent
 * @throws KeelError E_BUNDLE_…, E_IMAGE_INVALID
 */
export async function addSignatures(of: {
  readonly bundle: string;
  readonly keys: readonly string[];
  readonly out?: string | undefined;
}): Promise<MadeBundle> {
  const { bundle, keys, out = bundle } = of;
  const file = await open(bundle, 'r');
  const tail = await readTail(file).finally(() => file.close());
  const added = await signAll(tail.manifestBytes, keys);
  const ids = new Set(added.map(({ keyId }) => keyId));
  const signatures = [...tail.signatures.filter(({ keyId }) => !ids.has(keyId)), ...added];
  if (signatures.length > SIGNATURES_MAX) {
    throw new KeelError(
      'E_IMAGE_INVALID',
      `Cannot sign ${bundle}: it would have ${signatures.length} signatures, at most ${SIGNATURES_MAX}`,
    );
  }
  const { manifest } = tail;
  await writeBundle({
    path: out,
    manifest,
    signatures,
    root: { path: bundle, offset: manifest.root.offset },
    uki: { path: bundle, offset: manifest.uki.offset },
  });
  return { path: out, manifest, keyIds: signatures.map(({ keyId }) => keyId).toSorted() };
}

async function signAll(manifestBytes: Uint8Array, keys: readonly string[]) {
  const signatures = [];
  for (const path of keys) {
    signatures.push(signManifest(manifestBytes, await readPrivateKey(path)));
  }
  const ids = new Set(signatures.map(({ keyId }) => keyId));
  if (ids.size === signatures.length) return signatures;
  throw new KeelError('E_IMAGE_INVALID', 'Cannot sign bundle: a key is given twice');
}

async function readImageManifest(imageDir: string): Promise<ImageManifest> {
  const path = join(imageDir, IMAGE_FILES.manifest);
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') throw cause;
    const reason = 'no folder that keel-image build has made';
    throw new KeelError('E_IMAGE_INVALID', `Cannot read ${path}: ${reason}`, { cause });
  });
  const manifest: ImageManifest = JSON.parse(text);
  // A folder of an older keel-image has no such field.
  if (manifest.format === 'keelos-image/1' && manifest.trust !== undefined) return manifest;
  throw new KeelError('E_IMAGE_INVALID', `Cannot read ${path}: it was made by another keel-image`);
}

async function checkSize(path: string, sizeBytes: number): Promise<void> {
  const { size } = await stat(path);
  if (size === sizeBytes) return;
  const reason = `${size} bytes, its manifest says ${sizeBytes}`;
  throw new KeelError('E_IMAGE_INVALID', `Cannot use ${path}: ${reason}`);
}
