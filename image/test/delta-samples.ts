/** Small releases, the delta between them, and what applying it makes: for the tests of deltas. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BundleReader } from '@keelos/as-core/bundle.ts';
import { DeltaReader } from '@keelos/as-core/delta.ts';
import {
  type ApplyOptions,
  type ApplyReport,
  applyDelta,
  compileApply,
  type KeptBytes,
} from '@keelos/as-core/delta-apply.ts';
import { scratchBytes } from '@keelos/as-core/delta-apply-source.ts';
import { DeltaFile } from '@keelos/as-core/delta-file.ts';
import { type Packer, packHere } from '@keelos/as-core/delta-pack.ts';
import type { TargetPart } from '@keelos/as-core/delta-target.ts';
import {
  type DeltaContents,
  deltaBytes,
  deltaManifest,
} from '@keelos/image/core/delta-assembly.ts';
import type { SquashfsEntry } from '@keelos/image/core/squashfs-tree.ts';
import { contentsOf } from '@keelos/image/shell/delta-contents.ts';
import { MadeFrames } from '@keelos/image/shell/delta-encode.ts';
import { unpackedKernels } from '@keelos/image/shell/delta-kernels.ts';
import { bytesSource, memoryScratch } from '@keelos/image/shell/delta-prove.ts';
import { type DeltaInput, readDeltaInput } from '@keelos/image/sys/delta-input.ts';
import { appendHashTree } from '@keelos/image/sys/verity.ts';
import type { BundleManifest } from '@keelos/proto/bundle.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import { encodeManifest, encodeTail } from '@keelos/proto/bundle-writer.ts';
import type { DeltaManifest } from '@keelos/proto/delta.ts';
import { image } from './squashfs-oracle.ts';

const BYTES_MAX = 2 ** 26;
const MEMORY_BYTES = 2 ** 30;
const KEY = generateKeyPairSync('ed25519').privateKey;

/** Numbers that look random and come again. */
export function noise(bytes: number, seed: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let state = seed >>> 0;
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    buffer[at] = state >>> 24;
  }
  return buffer;
}

/** Bytes that compress somewhat, like a program's. */
export function program(bytes: number, seed: number): Buffer {
  return noise(bytes, seed).map((byte, at) => (at % 3 === 0 ? byte : (at >> 5) & 0x3f)) as Buffer;
}

/** A file of an image. */
export function file(path: string, contents: Uint8Array): SquashfsEntry {
  return { type: 'file', path, mode: 0o644, contents };
}

/** A bundle of these files as it lies on a disk, signed. */
export async function bundleOf(of: {
  readonly version: string;
  readonly entries: readonly SquashfsEntry[];
  readonly uki: Buffer;
  readonly blockBytes?: number;
}): Promise<Buffer> {
  const { version, entries, uki, blockBytes = 4096 } = of;
  const data = image(entries, { blockBytes, fragments: 'none', level: 3 });
  const { image: root, verity } = await appendHashTree(data);
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const manifest: BundleManifest = {
    ...{ format: 'keelos-bundle/1', version, arch: 'x86_64', variant: 'standard', epoch: 1 },
    ...{ buildEpochSeconds: 1_793_491_200, kernelVersion: '6.12.0' },
    root: {
      ...{ offset: 0, size: root.length, sha256: sha256(root), dataBytes: data.length },
      ...{ rootHash: verity.rootHash, salt: verity.salt },
    },
    uki: { offset: root.length, size: uki.length, sha256: sha256(uki) },
  };
  const signature = signManifest(encodeManifest(manifest), KEY);
  return Buffer.concat([root, uki, encodeTail(manifest, [signature])]);
}

/** Bytes as an input of the generator. */
export async function inputOf(bytes: Uint8Array): Promise<DeltaInput> {
  const folder = await mkdtemp(join(tmpdir(), 'keel-delta-'));
  try {
    await writeFile(join(folder, 'input'), bytes);
    return await readDeltaInput(join(folder, 'input'), { bytesMax: BYTES_MAX });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A pair and its delta. */
export interface Sample {
  readonly old: DeltaInput;
  readonly oldFile: Buffer;
  readonly target: DeltaInput;
  /** The whole bundle that is to come out. */
  readonly targetFile: Buffer;
  readonly contents: DeltaContents;
  readonly delta: Buffer;
}

/** The delta between two files. */
export async function sampleOf(oldFile: Buffer, targetFile: Buffer): Promise<Sample> {
  const [old, target] = [await inputOf(oldFile), await inputOf(targetFile)];
  const packer = await packHere();
  const frames = new MadeFrames();
  const kernels = unpackedKernels(old, target);
  const making = { old, target, kernels, packer, frames, maxMemoryBytes: MEMORY_BYTES };
  const { contents } = await contentsOf(making);
  return { old, oldFile, target, targetFile, contents, delta: deltaOf(contents) };
}

/** Files of the old release of {@link bundleSample}. */
export function oldEntries(): SquashfsEntry[] {
  return [
    { type: 'directory', path: '/etc', mode: 0o755 },
    file('/etc/version', Buffer.from('1.0.0')),
    file('/etc/same', noise(9000, 7)),
    file('/tool', program(60_000, 1)),
    file('/zeros', Buffer.alloc(20_000)),
  ];
}

/** Files of the new one: a program changed and moved, one added, one as it was. */
export function newEntries(): SquashfsEntry[] {
  const tool = program(60_000, 1);
  const changed = Buffer.concat([
    tool.subarray(0, 20_000),
    Buffer.from('new'),
    tool.subarray(20_000),
  ]);
  changed[40_000] = 0;
  return [
    { type: 'directory', path: '/etc', mode: 0o755 },
    file('/etc/version', Buffer.from('1.0.1')),
    file('/etc/same', noise(9000, 7)),
    file('/etc/added', noise(5000, 99)),
    file('/moved-tool', changed),
    file('/zeros', Buffer.alloc(20_000)),
  ];
}

/** Two small bundles. */
export async function bundleSample(): Promise<Sample> {
  const uki = program(150_000, 5);
  const newUki = Buffer.from(uki);
  newUki.write('changed', 70_000);
  return sampleOf(
    await bundleOf({ version: '1.0.0', entries: oldEntries(), uki }),
    await bundleOf({ version: '1.0.1', entries: newEntries(), uki: newUki }),
  );
}

/** The same as plain images. */
export async function plainSample(): Promise<Sample> {
  const options = { blockBytes: 4096, fragments: 'none', level: 3 } as const;
  return sampleOf(image(oldEntries(), options), image(newEntries(), options));
}

/** A delta of these contents, its manifest changed by `edit`. */
export function deltaOf(
  contents: DeltaContents,
  edit: (manifest: DeltaManifest) => DeltaManifest = (manifest) => manifest,
): Buffer {
  return deltaBytes(contents, { manifest: edit(deltaManifest(contents)), signatures: [] });
}

const packer: Packer = await packHere();
const modules = await compileApply();

/** Readers for `DeltaFile.openWith`. */
export async function deltaReaders() {
  return { delta: await DeltaReader.create(), bundle: await BundleReader.create() };
}

const readers = await deltaReaders();

/** What came of applying. */
export interface Applied {
  /** Root with its hash tree, and kernel image. */
  readonly root: Buffer;
  readonly uki: Buffer;
  readonly report: ApplyReport;
}

/** What was written so far: also after an apply that failed. */
export class Written {
  readonly root: Buffer;
  readonly uki: Buffer;
  readonly ends = { root: 0, uki: 0 };
  writes = 0;

  constructor({ target, targetFile }: Pick<Sample, 'target' | 'targetFile'>) {
    const rootBytes = target.tail?.manifest.root.size ?? targetFile.length;
    this.root = Buffer.alloc(rootBytes, 0xee);
    this.uki = Buffer.alloc(target.side.ukiBytes, 0xee);
  }

  write(part: TargetPart, offset: number, bytes: Uint8Array): void {
    const whole = part === 'root' ? this.root : this.uki;
    if (offset + bytes.length > whole.length) throw new Error(`written outside: ${part} ${offset}`);
    whole.set(bytes, offset);
    this.ends[part] = offset + bytes.length;
    this.writes += 1;
  }

  /** All of it, as in the file of a bundle. */
  bytes(): Buffer {
    return Buffer.concat([this.root, this.uki]);
  }
}

/** Applies a delta to the old side of a sample. */
export async function apply(
  delta: Uint8Array,
  sample: Pick<Sample, 'old' | 'target' | 'targetFile'>,
  options: Partial<Pick<ApplyOptions, 'source' | 'packer' | 'scratch' | 'signal'>> & {
    readonly written?: Written;
    readonly kept?: KeptBytes;
    readonly onWrite?: (writes: number) => void;
  } = {},
): Promise<Applied> {
  const { written = new Written(sample), onWrite, kept } = options;
  const { old } = sample;
  const file = DeltaFile.openWith(readers, bytesSource(delta));
  const report = await applyDelta({
    delta: file,
    scratch: options.scratch ?? memoryScratch(scratchBytes(file.manifest)),
    source: options.source ?? { ...bytesSource(old.packed), rootHash: old.side.rootHash },
    packer: options.packer ?? packer,
    modules,
    kept,
    signal: options.signal,
    write: (part, offset, bytes) => {
      onWrite?.(written.writes);
      written.write(part, offset, bytes);
    },
  });
  return { root: written.root, uki: written.uki, report };
}
