/** Checks a bundle in full: who signed it, every hash, the hash tree, the file system, and that its kernel starts its root. */
import type { FileHandle } from 'node:fs/promises';
import { SquashfsImage, type VerifyReport } from '@keelos/as-core/squashfs.ts';
import { CoreError } from '@keelos/as-core/status.ts';
import { verifyImage } from '@keelos/as-core/verity.ts';
import type { BundleManifest, BundleTail, TrustFile } from '@keelos/proto/bundle.ts';
import { type Fit, judgeFit } from '@keelos/proto/bundle-fit.ts';
import { judgeSignatures } from '@keelos/proto/bundle-signature.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { parseVerityTable, VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { readUki, type UkiFacts } from '../core/uki.ts';
import { hashPart, readPart, readTail } from '../sys/bundle-file.ts';

/** What was found sound. */
export interface BundleReport {
  readonly tail: BundleTail;
  /** Names of the keys that count; absent when nobody asked. */
  readonly signers?: readonly string[];
  readonly root: VerifyReport;
}

/**
 * Checks a bundle as a node with `trust` would, and what a node leaves to its first boot as well. Without `trust` nobody
 * asks who signed it.
 *
 * @throws KeelError E_BUNDLE_…, E_SIGNATURE…, E_KEY_EXPIRED, E_NO_TRUST, E_EPOCH_TOO_LOW, and those of `fit`
 */
export async function checkBundle(
  file: FileHandle,
  options: {
    readonly trust: TrustFile | undefined;
    readonly nowMs: number;
    /** The machine that it is for. */
    readonly fit?: Fit;
  },
): Promise<BundleReport> {
  const { trust, nowMs } = options;
  const tail = await readTail(file);
  const { manifest } = tail;
  const judged = trust === undefined ? {} : judgeSignatures({ tail, trust, nowMs });
  judgeFit(manifest, { ...(trust === undefined ? {} : { epoch: trust.epoch }), ...options.fit });
  await checkHash(file, manifest, 'root');
  await checkHash(file, manifest, 'uki');
  checkKernelImage(manifest, await readPart(file, manifest.uki));
  await checkTree(file, manifest);
  return { tail, ...judged, root: await checkFileSystem(file, manifest) };
}

function damaged(manifest: BundleManifest, reason: string, cause?: unknown): KeelError {
  const message = `Cannot accept bundle ${manifest.version}: ${reason}`;
  return new KeelError('E_BUNDLE_DAMAGED', message, { cause });
}

async function checkHash(
  file: FileHandle,
  manifest: BundleManifest,
  name: 'root' | 'uki',
): Promise<void> {
  const found = await hashPart(file, manifest[name]);
  if (found === manifest[name].sha256) return;
  throw damaged(manifest, `${name} has SHA-256 ${found}, expected ${manifest[name].sha256}`);
}

/** The command line must name this root, or the node would start another or none. */
function checkKernelImage(manifest: BundleManifest, uki: Buffer): void {
  let facts: UkiFacts;
  try {
    facts = readUki(uki);
  } catch (cause) {
    throw damaged(manifest, 'its kernel image is no unified kernel image for x86-64', cause);
  }
  const table = parseVerityTable(facts.commandLine);
  const { rootHash, salt, dataBytes } = manifest.root;
  const blocks = dataBytes / VERITY_BLOCK_BYTES;
  const isFitting =
    table !== undefined &&
    table.rootHash === rootHash &&
    table.salt === salt &&
    table.dataBlocks === blocks &&
    table.hashStartBlock === blocks;
  if (!isFitting) {
    const message = `Cannot accept bundle ${manifest.version}: its kernel image starts another root`;
    throw new KeelError('E_BUNDLE_MALFORMED', message);
  }
}

async function checkTree(file: FileHandle, manifest: BundleManifest): Promise<void> {
  const { dataBytes, rootHash, salt } = manifest.root;
  const { ok, badCount } = await verifyImage({
    fd: file.fd,
    rootHash,
    withSha256: false,
    hashOffset: dataBytes,
    dataBlocks: dataBytes / VERITY_BLOCK_BYTES,
    salt: Buffer.from(salt, 'hex'),
  });
  if (!ok) throw damaged(manifest, `${badCount} blocks are not what its root hash says`);
}

async function checkFileSystem(file: FileHandle, manifest: BundleManifest): Promise<VerifyReport> {
  try {
    const source = { fd: file.fd, sizeBytes: manifest.root.dataBytes };
    const image = await SquashfsImage.open(source);
    try {
      return image.verify();
    } finally {
      image.close();
    }
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    throw damaged(manifest, `${error.message} [${error.code}]`, error);
  }
}
