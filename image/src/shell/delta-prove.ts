/** The proof of a delta: it is applied by the code that a node applies it with, and every byte is compared. */
import { type ApplyReport, applyDelta, compileApply } from '@keelos/as-core/delta-apply.ts';
import { type KernelScratch, scratchBytes } from '@keelos/as-core/delta-apply-source.ts';
import { DeltaFile } from '@keelos/as-core/delta-file.ts';
import type { Packer } from '@keelos/as-core/delta-pack.ts';
import type { PackKernel } from '@keelos/as-core/kernel-packing.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { DeltaInput } from '../sys/delta-input.ts';

/** What is proven. */
export interface Proof {
  readonly delta: Uint8Array;
  readonly old: DeltaInput;
  readonly target: DeltaInput;
  readonly packer: Packer;
  readonly packKernel?: PackKernel | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** Bytes in memory, to be read at any place. */
export function bytesSource(bytes: Uint8Array) {
  return {
    sizeBytes: bytes.length,
    read: (offset: number, target: Uint8Array) => {
      if (offset < 0 || offset > bytes.length - target.length) throw new RangeError(`${offset}`);
      target.set(bytes.subarray(offset, offset + target.length));
    },
  };
}

/** Room for so many bytes. It is taken when something comes. */
export function memoryScratch(sizeBytes: number): KernelScratch {
  let bytes = Buffer.alloc(0);
  let end = 0;
  return {
    write: (piece) => {
      if (end === 0) bytes = Buffer.alloc(sizeBytes);
      bytes.set(piece, end);
      end += piece.length;
    },
    read: (offset, target) => bytesSource(bytes).read(offset, target),
  };
}

/**
 * Applies a delta and compares what comes out.
 *
 * @throws KeelError E_DELTA_DAMAGED when it is not the target, and whatever applying throws
 */
export async function proveDelta(proof: Proof): Promise<ApplyReport> {
  const { old, target, packer, packKernel, signal, onProgress } = proof;
  const delta = await DeltaFile.open(bytesSource(proof.delta));
  const { dataBytes } = target.side;
  const total = target.packed.length;
  return applyDelta({
    delta,
    packer,
    packKernel,
    signal,
    scratch: memoryScratch(scratchBytes(delta.manifest)),
    modules: await compileApply(),
    source: { ...bytesSource(old.packed), rootHash: old.side.rootHash },
    write: (part, offset, bytes) => {
      // What lies behind the data is the hash tree, which the root hash stands for.
      if (part === 'root' && offset >= dataBytes) return;
      const place = part === 'root' ? offset : dataBytes + offset;
      if (target.packed.subarray(place, place + bytes.length).equals(bytes)) return;
      throw new KeelError(
        'E_DELTA_DAMAGED',
        `Cannot prove delta: it makes other bytes at ${place}`,
      );
    },
    onProgress: (done) => onProgress?.(done / total),
  });
}
