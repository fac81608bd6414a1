/** Deltas in this process and on this thread: for `keel-verifier`, see verifier.ts. */
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { applyDelta, compileApply } from '@keelos/as-core/delta-apply.ts';
import { type KernelScratch, scratchBytes } from '@keelos/as-core/delta-apply-source.ts';
import { type ByteSource, DeltaFile } from '@keelos/as-core/delta-file.ts';
import {
  canaryOf,
  demandEncoder,
  demandKernelEncoder,
  type Packer,
  packHere,
} from '@keelos/as-core/delta-pack.ts';
import type { DeltaManifest } from '@keelos/proto/delta.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { DeltaApplication, DeltaSourcePlace, OpenedDelta } from '@keelos/proto/verifier.ts';
import { packNatively } from './native-packer.ts';
import { stateError } from './state-store.ts';

type Extent = DeltaSourcePlace['kernelExtents'][number];

/**
 * Reads a delta and looks whether this machine can apply it: its form, the hashes of its parts, the encoder.
 *
 * @throws KeelError any E_DELTA_ code; E_BUNDLE_… for the end of the bundle that it carries
 */
export async function openDeltaHere(path: string): Promise<OpenedDelta> {
  const fd = openSync(path, 'r');
  try {
    const delta = await DeltaFile.open(wholeFile(fd));
    const { manifest, target } = delta;
    if (target === undefined) {
      throw new KeelError(
        'E_DELTA_SOURCE',
        'Cannot apply delta: it makes a plain image, no release',
      );
    }
    delta.checkParts();
    await fittingPacker(manifest);
    await demandKernelEncoder(manifest);
    const { manifest: bundle } = target;
    const end = delta.targetEnd();
    return {
      from: manifest.from,
      to: manifest.to,
      sourceRootHash: manifest.source.rootHash,
      bundleBytes: bundle.uki.offset + bundle.uki.size + end.length,
      kernelBytes: scratchBytes(manifest),
      end: end.toString('base64'),
    };
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes the target and says its bytes from `fromBytes` on, in the order in which they lie in its bundle: root, kernel image.
 *
 * @throws KeelError any E_DELTA_ code, or what a device answers, for example EIO
 */
export async function applyDeltaHere(
  { path, source, keptDevice, fromBytes, kernelPath }: DeltaApplication,
  to: {
    readonly say: (bytes: Uint8Array) => void;
    readonly onProgress: (doneBytes: number) => void;
  },
): Promise<{ readonly keptBytes: number }> {
  const open: number[] = [];
  const opened = (name: string, flags = 'r') => {
    const fd = openSync(name, flags);
    open.push(fd);
    return fd;
  };
  try {
    const delta = await DeltaFile.open(wholeFile(opened(path)));
    const { manifest, target } = delta;
    const [modules, packer] = await Promise.all([compileApply(), fittingPacker(manifest)]);
    const kept = opened(keptDevice);
    const rootBytes = target?.manifest.uki.offset ?? manifest.target.dataBytes;
    const { keptBytes } = await applyDelta({
      delta,
      packer,
      modules,
      scratch:
        scratchBytes(manifest) > 0 ? scratchIn(kernelPath, opened(kernelPath, 'r+')) : undefined,
      source: {
        rootHash: source.rootHash,
        ...sideOf(source, { root: opened(source.rootDevice), kernel: opened(source.kernelDevice) }),
      },
      kept: {
        dataBytes: Math.min(fromBytes, manifest.target.dataBytes),
        ukiBytes: 0,
        read: (_, offset, bytes) => readFully(kept, offset, bytes),
      },
      write: (part, offset, bytes) => {
        const place = part === 'root' ? offset : rootBytes + offset;
        const passed = Math.max(0, fromBytes - place);
        if (passed < bytes.length) to.say(bytes.subarray(passed));
      },
      onProgress: to.onProgress,
    });
    return { keptBytes };
  } finally {
    for (const fd of open) closeSync(fd);
  }
}

/**
 * Node's own zstd where it makes the bytes that the delta counts on, else the encoder in WebAssembly, which takes longer.
 *
 * @throws KeelError E_DELTA_ENCODER when that one makes others as well
 */
export async function fittingPacker(
  manifest: Pick<DeltaManifest, 'canary' | 'level' | 'encoder'>,
  native = packNatively(),
): Promise<Packer> {
  if ((await canaryOf(native, manifest.level)) === manifest.canary) return native;
  const packer = await packHere();
  await demandEncoder(packer, manifest);
  return packer;
}

/** Room in a file, which is written from its begin. */
function scratchIn(path: string, fd: number): KernelScratch {
  let end = 0;
  return {
    write(bytes) {
      try {
        for (let done = 0; done < bytes.length; ) {
          done += writeSync(fd, bytes, done, bytes.length - done, end + done);
        }
      } catch (cause) {
        throw stateError('write', path, cause);
      }
      end += bytes.length;
    },
    read: (offset, target) => readFully(fd, offset, target),
  };
}

/** Data of the root, then the kernel image. */
function sideOf(
  { dataBytes, kernelExtents }: DeltaSourcePlace,
  { root, kernel }: { readonly root: number; readonly kernel: number },
): ByteSource {
  const parts: { fd: number; start: number; extent: Extent }[] = [];
  let sizeBytes = 0;
  const add = (fd: number, extent: Extent) => {
    parts.push({ fd, start: sizeBytes, extent });
    sizeBytes += extent.lengthBytes;
  };
  add(root, { offsetBytes: 0, lengthBytes: dataBytes });
  for (const extent of kernelExtents) add(kernel, extent);
  return {
    sizeBytes,
    read(offset, target) {
      if (offset < 0 || offset > sizeBytes - target.length) throw new RangeError(`${offset}`);
      const end = offset + target.length;
      for (const { fd, start, extent } of parts) {
        const [from, to] = [Math.max(offset, start), Math.min(end, start + extent.lengthBytes)];
        if (from >= to) continue;
        readFully(
          fd,
          extent.offsetBytes + from - start,
          target.subarray(from - offset, to - offset),
        );
      }
    },
  };
}

function wholeFile(fd: number): ByteSource {
  return {
    sizeBytes: fstatSync(fd).size,
    read: (offset, target) => readFully(fd, offset, target),
  };
}

/** @throws RangeError when the file or device ends before */
function readFully(fd: number, offset: number, target: Uint8Array): void {
  for (let done = 0; done < target.length; ) {
    const read = readSync(fd, target, done, target.length - done, offset + done);
    if (read === 0)
      throw new RangeError(`Cannot read ${target.length} bytes at ${offset}: it ends`);
    done += read;
  }
}
