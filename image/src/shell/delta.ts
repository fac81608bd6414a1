/** Makes deltas: reads both sides, finds what changed, codes it, and proves the delta before it gets its name. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { PackKernel } from '@keelos/as-core/kernel-packing.ts';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import { DELTA_SIGNATURE_CONTEXT } from '@keelos/proto/delta.ts';
import { encodeDeltaManifest } from '@keelos/proto/delta-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { type DeltaContents, deltaBytes, deltaManifest } from '../core/delta-assembly.ts';
import type { DeltaReport, MakeDelta } from '../core/delta-report.ts';
import { type DeltaInput, readDeltaInput } from '../sys/delta-input.ts';
import { readPrivateKey } from '../sys/key-files.ts';
import { writeAll, writeSynced } from '../sys/synced-file.ts';
import { isMemoryShort } from './delta-coding.ts';
import { contentsOf, type Making } from './delta-contents.ts';
import { MadeFrames, packWith } from './delta-encode.ts';
import {
  areKernelsMade,
  type KernelPair,
  packKnownKernel,
  unpackedKernels,
} from './delta-kernels.ts';
import { proveDelta } from './delta-prove.ts';

/** Most that the generator takes unless it is told. */
export const MAX_MEMORY_BYTES = 4 * 2 ** 30;
/** Both sides are held packed and, in part, unpacked; the matcher's index comes on top. */
const COPIES_OF_INPUT = 8;
/** Threads that pack. */
const WORKERS_MAX = 8;

/** See {@link MakeDelta}. */
export const makeDelta: MakeDelta = async (request) => {
  const startedMs = performance.now();
  const workers = new CoreWorkers(Math.min(availableParallelism(), WORKERS_MAX));
  try {
    const { maxMemoryBytes = MAX_MEMORY_BYTES } = request;
    const bytesMax = Math.floor(maxMemoryBytes / COPIES_OF_INPUT);
    const old = await readDeltaInput(request.oldPath, { bytesMax });
    const target = await readDeltaInput(request.newPath, { bytesMax });
    checkPair(old, target);
    const frames = new MadeFrames();
    const packer = packWith(workers);
    const { signal, onProgress } = request;
    const making = { old, target, packer, frames, maxMemoryBytes, signal, onProgress };
    const { contents, packKernel } = await contentsWithKernels(making);
    const delta = await signed(contents, request.keys ?? []);
    const generateMs = performance.now() - startedMs;
    // What an encoder makes of the same bytes is the same: it need not be asked a second time.
    const proving = { delta, old, target, packer: frames.packer(packer), packKernel };
    const report = await proveDelta({
      ...proving,
      signal,
      onProgress: (fraction) => onProgress?.({ step: 'prove', fraction }),
    });
    const applyMs = performance.now() - startedMs - generateMs;
    await writeSynced(request.out, (file) => writeAll(file, delta, 0));
    const made: DeltaReport = {
      path: request.out,
      from: old.version,
      to: target.version,
      deltaBytes: delta.length,
      fullBytes: target.fileBytes,
      sha256: createHash('sha256').update(delta).digest('hex'),
      copiedBytes: report.copiedBytes,
      packedBytes: report.packedBytes,
      literalBytes: report.literalBytes,
      generateMs: Math.round(generateMs),
      applyMs: Math.round(applyMs),
    };
    return made;
  } finally {
    await workers.close();
  }
};

/** With the kernels unpacked, when that turns out to be worth it and to be possible; else with the kernel images as they are. */
async function contentsWithKernels(making: Omit<Making, 'kernels'>): Promise<{
  readonly contents: DeltaContents;
  readonly packKernel?: PackKernel;
}> {
  const kernels = unpackedKernels(making.old, making.target);
  const contents = kernels === undefined ? undefined : await contentsWith(making, kernels);
  if (kernels === undefined || contents === undefined) {
    return { contents: (await contentsOf({ ...making, kernels: undefined })).contents };
  }
  return { contents, packKernel: packKnownKernel(kernels.target) };
}

/** Undefined: our encoder does not make them, a patch of the kernel is not worth it, or the memory is too little for it. */
async function contentsWith(
  making: Omit<Making, 'kernels'>,
  kernels: KernelPair,
): Promise<DeltaContents | undefined> {
  const ending = new AbortController();
  // It takes a while, and most likely they are made: the rest goes on meanwhile.
  const areMade = areKernelsMade(kernels, ending.signal);
  areMade.catch(() => undefined);
  try {
    const { contents, isKernelPatched } = await contentsOf({ ...making, kernels });
    return isKernelPatched && (await areMade) ? contents : undefined;
  } catch (cause) {
    if (isMemoryShort(cause)) return undefined;
    throw cause;
  } finally {
    ending.abort(new KeelError('E_CANCELLED', 'Cannot make delta: nobody waits for it any more'));
  }
}

/** @throws KeelError E_IMAGE_INVALID when they are no pair */
function checkPair(old: DeltaInput, target: DeltaInput): void {
  const subject = `Cannot make delta from ${old.path} to ${target.path}`;
  if ((old.tail === undefined) !== (target.tail === undefined)) {
    throw new KeelError('E_IMAGE_INVALID', `${subject}: one is a bundle, the other is none`);
  }
  const [from, to] = [old.tail?.manifest, target.tail?.manifest];
  if (from?.arch !== to?.arch) {
    const reason = `one is for ${from?.arch}, the other for ${to?.arch}`;
    throw new KeelError('E_IMAGE_INVALID', `${subject}: ${reason}`);
  }
}

async function signed(contents: DeltaContents, keys: readonly string[]): Promise<Buffer> {
  const manifest = deltaManifest(contents);
  const bytes = encodeDeltaManifest(manifest);
  const signatures = [];
  for (const path of keys) {
    signatures.push(signManifest(bytes, await readPrivateKey(path), DELTA_SIGNATURE_CONTEXT));
  }
  return deltaBytes(contents, { manifest, signatures });
}
