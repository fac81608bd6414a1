/** Runs of a delta: blocks that were patched are packed again, to the bytes that they had in the target. */
import { createHash } from 'node:crypto';
import type { DeltaManifest } from '@keelos/proto/delta.ts';
import { canaryBlock } from '@keelos/proto/delta-canary.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { KERNEL_PARAMETERS, packKernel } from './kernel-packing.ts';
import { ZstdEncoder } from './zstd.ts';

/** Packs blocks: each a zstd frame of its own. */
export interface Packer {
  /** Calls that run at a time. */
  readonly lanes: number;
  /** The frames, in the order of the blocks, which stay as they are until the frames are there and no longer. */
  pack(blocks: readonly Uint8Array[], level: number): Promise<readonly Uint8Array[]>;
}

/** A packer in this thread. */
export async function packHere(): Promise<Packer> {
  const encoder = await ZstdEncoder.create();
  return {
    lanes: 1,
    pack: async (blocks, level) => blocks.map((block) => encoder.encode(block, level)),
  };
}

const LENGTH_BYTES = 2;
const NOT_COMPRESSED = 0x8000;

/** Data blocks as they lie in an image: packed, or as they are where that is not smaller. */
export function dataRun(blocks: readonly Uint8Array[], frames: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(blocks.map((block, index) => smaller(block, frames[index])));
}

/** Metadata blocks as they lie in an image: each behind its length, with a bit for "not packed". */
export function metadataRun(
  blocks: readonly Uint8Array[],
  frames: readonly Uint8Array[],
): Uint8Array {
  const parts = blocks.flatMap((block, index) => {
    const stored = smaller(block, frames[index]);
    const head = Buffer.alloc(LENGTH_BYTES);
    head.writeUInt16LE(stored.length | (stored === block ? NOT_COMPRESSED : 0));
    return [head, stored];
  });
  return Buffer.concat(parts);
}

function smaller(block: Uint8Array, frame: Uint8Array | undefined): Uint8Array {
  if (frame === undefined) throw new Error('a block was not packed');
  return frame.length < block.length ? frame : block;
}

/** SHA-256 of the canary as a packer packs it. */
export async function canaryOf(packer: Packer, level: number): Promise<string> {
  const [frame] = await packer.pack([canaryBlock()], level);
  return createHash('sha256')
    .update(frame ?? '')
    .digest('hex');
}

/** The canary of kernels has so many blocks, so that what is remembered between two is a part of it. */
const CANARY_BLOCKS = 3;

let canary: Promise<string> | undefined;

/** SHA-256 of the parameters and of the packed canary: another one means another encoder. It is packed once in a process. */
export function kernelCanary(): Promise<string> {
  canary ??= packedCanary();
  return canary;
}

async function packedCanary(): Promise<string> {
  const block = canaryBlock();
  const hash = createHash('sha256').update(KERNEL_PARAMETERS);
  const pieces = Array.from({ length: CANARY_BLOCKS }, (_, index) => block.subarray(index));
  const sizeBytes = pieces.reduce((sum, { length }) => sum + length, 0);
  for await (const piece of packKernel(pieces, sizeBytes)) hash.update(piece);
  return hash.digest('hex');
}

/** @throws KeelError E_DELTA_ENCODER when blocks of the target would be packed to other bytes here */
export async function demandEncoder(
  packer: Packer,
  { canary, level, encoder }: Pick<DeltaManifest, 'canary' | 'level' | 'encoder'>,
): Promise<void> {
  if ((await canaryOf(packer, level)) !== canary)
    throw otherEncoder(`${encoder} at level ${level}`);
}

/** @throws KeelError E_DELTA_ENCODER when the kernel of the target would be packed to other bytes here */
export async function demandKernelEncoder({
  kernel: { canary },
  encoder,
}: Pick<DeltaManifest, 'kernel' | 'encoder'>): Promise<void> {
  if (canary !== '' && (await kernelCanary()) !== canary)
    throw otherEncoder(`${encoder} for kernels`);
}

function otherEncoder(encoder: string): KeelError {
  const reason = `${encoder} makes other bytes here`;
  return new KeelError('E_DELTA_ENCODER', `Cannot apply delta: ${reason}`, {
    details: { reason: 'delta-encoder' },
  });
}
