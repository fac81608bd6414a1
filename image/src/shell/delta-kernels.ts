/** Kernels of both sides of a delta: unpacked, so that they can be patched, when they differ. */
import { zstdDecompressSync } from 'node:zlib';
import { type PackKernel, packKernel } from '@keelos/as-core/kernel-packing.ts';
import { type KernelPayload, kernelPayload } from '../core/kernel-payload.ts';
import type { DeltaInput } from '../sys/delta-input.ts';

/** A kernel with its content. */
export interface UnpackedKernel extends KernelPayload {
  /** As it lies in the kernel image. */
  readonly frame: Uint8Array;
  readonly content: Uint8Array;
}

/** Both kernels. */
export interface KernelPair {
  readonly old: UnpackedKernel;
  readonly target: UnpackedKernel;
}

/** The kernels of two releases; undefined when they are the same, or one of them cannot be unpacked on a node. */
export function unpackedKernels(old: DeltaInput, target: DeltaInput): KernelPair | undefined {
  const [from, to] = [payloadOf(old), payloadOf(target)];
  if (from === undefined || to === undefined || from.frame.equals(to.frame)) return undefined;
  const [oldKernel, targetKernel] = [unpacked(from), unpacked(to)];
  if (oldKernel === undefined || targetKernel === undefined) return undefined;
  return { old: oldKernel, target: targetKernel };
}

/**
 * Whether our encoder makes both frames again. One that something else has packed is carried as it is; and when that is
 * the kernel of the source, whoever runs it most likely has another encoder, too, and would refuse the whole delta.
 */
export async function areKernelsMade(
  { old, target }: KernelPair,
  signal: AbortSignal,
): Promise<boolean> {
  const [isOldMade, isTargetMade] = [isMade(old, signal), isMade(target, signal)];
  return (await isTargetMade) && (await isOldMade);
}

async function isMade({ content, frame }: UnpackedKernel, signal: AbortSignal): Promise<boolean> {
  const parts: Uint8Array[] = [];
  for await (const part of packKernel([content], content.length)) {
    signal.throwIfAborted();
    parts.push(part);
  }
  return Buffer.concat(parts).equals(frame);
}

/** Packs a kernel that was found to be made again without packing it a second time. */
export function packKnownKernel({ content, frame }: UnpackedKernel): PackKernel {
  return async function* (pieces, sizeBytes) {
    const parts: Uint8Array[] = [];
    for await (const part of pieces) parts.push(part);
    if (Buffer.concat(parts).equals(content)) yield frame;
    else yield* packKernel(parts, sizeBytes);
  };
}

function payloadOf({ packed, side }: DeltaInput) {
  const uki = packed.subarray(side.dataBytes, side.dataBytes + side.ukiBytes);
  const payload = kernelPayload(uki);
  if (payload === undefined) return undefined;
  const { offset, packedBytes } = payload;
  return { ...payload, frame: uki.subarray(offset, offset + packedBytes) };
}

function unpacked(of: KernelPayload & { readonly frame: Buffer }): UnpackedKernel | undefined {
  try {
    const content = zstdDecompressSync(of.frame, { maxOutputLength: of.unpackedBytes });
    return content.length === of.unpackedBytes ? { ...of, content } : undefined;
  } catch {
    // A damaged frame: its kernel does not start, but that is for whoever tries it to say.
    return undefined;
  }
}
