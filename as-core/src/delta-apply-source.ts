/** What a delta is applied to: whether it is the source that the delta was made for, and its kernel, unpacked. */
import { createHash } from 'node:crypto';
import type { DeltaManifest, DeltaSide } from '@keelos/proto/delta.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { ByteSource } from './delta-file.ts';
import type { ReadBytes } from './delta-layout.ts';
import { piecesOf, unpackKernel } from './kernel-packing.ts';

/** Bytes that are hashed at a time. */
const PIECE_BYTES = 262_144;

/** What a node has: the data of its root, then its kernel image. */
export interface DeltaSource extends ByteSource {
  /** dm-verity's, which the kernel checks the data against as they are read; empty for a plain SquashFS. */
  readonly rootHash: string;
}

/** Room for the unpacked kernel of the source and the packed one of the target: they are larger than what may be in memory. */
export interface KernelScratch {
  /** Puts bytes behind the others. */
  write(bytes: Uint8Array): void;
  readonly read: ReadBytes;
}

/** Bytes that a scratch may have to take; 0 when there is nothing for it. */
export function scratchBytes({ kernel, target }: Pick<DeltaManifest, 'kernel' | 'target'>): number {
  return kernel.unpackedBytes === 0 ? 0 : kernel.unpackedBytes + target.ukiBytes;
}

/** Whether it is the source of the delta. @throws KeelError E_DELTA_SOURCE */
export function demandSource(
  source: DeltaSource,
  { source: side, from }: { readonly source: DeltaSide; readonly from: string },
): void {
  const refuse = (reason: string) => {
    throw new KeelError('E_DELTA_SOURCE', `Cannot apply delta from ${from}: ${reason}`, {
      details: { reason: 'delta-source' },
    });
  };
  if (source.rootHash !== side.rootHash) {
    refuse(`it is for root hash ${side.rootHash || 'none'}, here is ${source.rootHash || 'none'}`);
  }
  const bytes = side.dataBytes + side.ukiBytes;
  if (source.sizeBytes !== bytes) refuse(`it is for ${bytes} bytes, here are ${source.sizeBytes}`);
  const hashed = (start: number, end: number) => {
    const hash = createHash('sha256');
    const piece = new Uint8Array(PIECE_BYTES);
    for (let at = start; at < end; at += PIECE_BYTES) {
      const some = piece.subarray(0, Math.min(PIECE_BYTES, end - at));
      source.read(at, some);
      hash.update(some);
    }
    return hash.digest('hex');
  };
  // The data of a slot are checked by dm-verity as they are read; a plain image and a kernel image by nobody.
  if (side.rootHash === '' && hashed(0, side.dataBytes) !== side.sha256) {
    refuse('the image is another');
  }
  if (side.ukiBytes > 0 && hashed(side.dataBytes, bytes) !== side.ukiSha256) {
    refuse('the kernel image is another');
  }
}

/**
 * Unpacks the kernel of the source, when the delta is one that patches it.
 *
 * @throws KeelError E_DELTA_SOURCE when the source has no such kernel; what `scratch` throws
 */
export async function unpackSourceKernel(
  source: DeltaSource,
  of: { readonly manifest: DeltaManifest; readonly scratch: KernelScratch | undefined },
): Promise<void> {
  const { manifest, scratch } = of;
  const { kernel, source: side } = manifest;
  if (kernel.packedBytes === 0) return;
  if (scratch === undefined) throw new TypeError('there is no room for the kernel of the source');
  const start = side.dataBytes + kernel.offset;
  const packed = piecesOf(kernel.packedBytes, (at, bytes) => source.read(start + at, bytes));
  let unpackedBytes = 0;
  try {
    for await (const bytes of unpackKernel(packed)) {
      unpackedBytes += bytes.length;
      if (unpackedBytes > kernel.unpackedBytes) break;
      scratch.write(bytes);
    }
  } catch (cause) {
    throw isOfZstd(cause) ? otherKernel(cause) : cause;
  }
  if (unpackedBytes !== kernel.unpackedBytes) throw otherKernel();
}

/** An error of Node's zlib; anything else is of the disk, or a bug. */
function isOfZstd(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && /^Z(STD)?_/.test(String(cause.code));
}

function otherKernel(cause?: unknown): KeelError {
  const reason = 'the kernel in the kernel image does not unpack to what was patched';
  return new KeelError('E_DELTA_SOURCE', `Cannot apply delta: ${reason}`, {
    cause,
    details: { reason: 'delta-source' },
  });
}
