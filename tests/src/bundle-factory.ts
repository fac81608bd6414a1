/**
 * Makes signed bundles for tests, out of one second build of the image: see release-variants.data.ts. A bundle takes a
 * second or two, a build takes a minute.
 */
import assert from 'node:assert/strict';
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BuiltImage } from '@keelos/image/shell/build.ts';
import { appendHashTree } from '@keelos/image/sys/verity.ts';
import type { BundleManifest } from '@keelos/proto/bundle.ts';
import { bundleFileName } from '@keelos/proto/bundle.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import { encodeManifest, encodeTail } from '@keelos/proto/bundle-writer.ts';
import { findBuiltNode, findNextNode } from '../../scripts/lib/node-image.mjs';
import { testKeys } from '../../scripts/lib/test-keys.mjs';
import { faultyRoot } from './faulty-root.ts';
import {
  forOtherProcessor,
  forRoot,
  withCommandLine,
  withOtherKernel,
} from './kernel-image-edit.ts';
import { runProgram } from './program.ts';
import {
  RELEASE_VARIANTS,
  type ReleaseName,
  type ReleaseVariant,
} from './release-variants.data.ts';
import { CHECKOUT } from './test-node.ts';

/** Time of the file system in a SquashFS superblock. */
const SQUASHFS_TIME_AT = 8;
const SQUASHFS_USED_AT = 40;
const BLOCK_BYTES = 4096;
/** With its proof, beside two emulated machines. */
const DELTA_TIMEOUT_MS = 600_000;

/** A release as its parts, to be put on a disk by hand. */
export interface ReleaseParts {
  readonly version: string;
  readonly rootHash: string;
  /** Root with its hash tree. */
  readonly root: Buffer;
  readonly dataBytes: number;
  readonly salt: string;
  readonly kernelImage: Buffer;
}

/** A bundle in a file. */
export interface TestBundle {
  readonly path: string;
  readonly fileName: string;
  readonly version: string;
  readonly rootHash: string;
  readonly sizeBytes: number;
  /** Of the whole file. */
  readonly sha256: string;
  readonly manifest: BundleManifest;
}

/** Signs what it makes with the key that test nodes trust. */
export class BundleFactory {
  /** Folder of the bundles. */
  readonly dir: string;
  /** The second build. */
  readonly second: BuiltImage;
  readonly #key: KeyObject;
  #beginning: Promise<TestBundle> | undefined;
  readonly #made = new Map<ReleaseName, Promise<TestBundle>>();

  private constructor(of: { dir: string; second: BuiltImage; key: KeyObject }) {
    this.dir = of.dir;
    this.second = of.second;
    this.#key = of.key;
  }

  /** Builds the second image, or takes it from the cache. */
  static async open(): Promise<BundleFactory> {
    const second = await findNextNode();
    const { keyFile } = await testKeys();
    return new BundleFactory({
      dir: await mkdtemp(join(tmpdir(), 'keel-bundles-')),
      second,
      key: createPrivateKey(await readFile(keyFile)),
    });
  }

  /** The parts of a release. */
  async parts(name: ReleaseName): Promise<ReleaseParts> {
    const variant: ReleaseVariant = RELEASE_VARIANTS[name];
    const { version, parts } = this.second.manifest;
    const kernelImage = await readFile(this.second.uki);
    if (variant.root === 'second' && variant.age === 0) {
      const root = await readFile(this.second.root);
      const { rootHash, salt } = this.second.manifest;
      const facts = { version, rootHash, salt, root, dataBytes: parts.root.dataBytes };
      return { ...facts, kernelImage: await changed(kernelImage, variant, name) };
    }
    const data =
      variant.root === 'faulty'
        ? await faultyRoot(this.second)
        : (await readFile(this.second.root)).subarray(0, parts.root.dataBytes);
    const { image: root, verity } = await appendHashTree(aged(data, variant.age));
    const { rootHash, salt, dataBytes } = verity;
    return {
      version,
      rootHash,
      salt,
      root,
      dataBytes,
      kernelImage: await changed(forRoot(kernelImage, verity), variant, name),
    };
  }

  /** The bundle of a release; made once. */
  bundle(name: ReleaseName): Promise<TestBundle> {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const made = this.#make(name);
    this.#made.set(name, made);
    return made;
  }

  /** The bundle of the release that test nodes begin with: what a delta to any other is made from. */
  beginning(): Promise<TestBundle> {
    this.#beginning ??= findBuiltNode().then((image) => this.ofImage('beginning', image));
    return this.#beginning;
  }

  /** What may run on a node of this factory: the first release, and those that were made. */
  async made(): Promise<readonly TestBundle[]> {
    return Promise.all([this.beginning(), ...this.#made.values()]);
  }

  /** The bundle of any image. */
  async ofImage(name: string, image: BuiltImage): Promise<TestBundle> {
    const { version, parts, rootHash, salt } = image.manifest;
    return this.#write(name, image, {
      ...{ version, rootHash, salt, dataBytes: parts.root.dataBytes },
      root: await readFile(image.root),
      kernelImage: await readFile(image.uki),
    });
  }

  async #make(name: ReleaseName): Promise<TestBundle> {
    const variant: ReleaseVariant = RELEASE_VARIANTS[name];
    return this.#write(name, this.second, await this.parts(name), variant.arch);
  }

  async #write(
    name: string,
    image: BuiltImage,
    { version, rootHash, salt, root, dataBytes, kernelImage }: ReleaseParts,
    arch: BundleManifest['arch'] = 'x86_64',
  ): Promise<TestBundle> {
    const { buildEpochSeconds, kernelVersion, variant, trust } = image.manifest;
    const manifest: BundleManifest = {
      format: 'keelos-bundle/1',
      version,
      arch,
      variant,
      buildEpochSeconds,
      epoch: trust.epoch,
      kernelVersion,
      root: { offset: 0, size: root.length, sha256: sha256(root), dataBytes, rootHash, salt },
      uki: { offset: root.length, size: kernelImage.length, sha256: sha256(kernelImage) },
    };
    const signature = signManifest(encodeManifest(manifest), this.#key);
    const bytes = Buffer.concat([root, kernelImage, encodeTail(manifest, [signature])]);
    const fileName = `${name}-${bundleFileName(manifest)}`;
    const path = join(this.dir, fileName);
    await writeFile(path, bytes);
    const facts = { path, fileName, version, rootHash, manifest };
    return { ...facts, sizeBytes: bytes.length, sha256: sha256(bytes) };
  }

  /** Removes the bundles. */
  async close(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** The delta from one bundle to another in the file `path`, by `keel-image delta`. */
export async function makeDelta(
  [from, to]: readonly [TestBundle, TestBundle],
  path: string,
): Promise<void> {
  const args = [join(CHECKOUT, 'image/bin/keel-image.mjs'), 'delta', from.path, to.path, path];
  const made = await runProgram(process.execPath, args, { timeoutMs: DELTA_TIMEOUT_MS });
  assert.equal(made.exitCode, 0, made.stderr);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The same file system with another time in its superblock: other bytes, the same files. */
function aged(data: Buffer, seconds: number): Buffer {
  const copy = Buffer.from(data);
  if (copy.length % BLOCK_BYTES !== 0) throw new RangeError('the file system is not padded');
  if (Number(copy.readBigUInt64LE(SQUASHFS_USED_AT)) > copy.length) {
    throw new RangeError('the file system is cut short');
  }
  copy.writeUInt32LE(copy.readUInt32LE(SQUASHFS_TIME_AT) + seconds, SQUASHFS_TIME_AT);
  return copy;
}

/** The kernel image as a variant has it. */
async function changed(
  kernelImage: Buffer,
  variant: ReleaseVariant,
  name: string,
): Promise<Buffer> {
  if (variant.kernelImage === 'random') return noise(kernelImage.length, name);
  if (variant.kernelImage === 'cut-short') {
    return Buffer.from(kernelImage.subarray(0, kernelImage.length >> 1));
  }
  if (variant.isKernelOther) return withOtherKernel(kernelImage);
  if (variant.kernelImage === 'foreign') return forOtherProcessor(kernelImage);
  const { commandLine = (line: string) => line, fault } = variant;
  if (fault === undefined && variant.commandLine === undefined) return kernelImage;
  return withCommandLine(kernelImage, (line) =>
    [commandLine(line), ...(fault === undefined ? [] : [`KEEL_FAULT=${fault}`])].join(' '),
  );
}

/** Bytes that look random and are the same in every run. */
function noise(sizeBytes: number, seed: string): Buffer {
  const out = Buffer.alloc(sizeBytes);
  let block = createHash('sha256').update(seed).digest();
  for (let at = 0; at < sizeBytes; at += block.length) {
    block.copy(out, at);
    block = createHash('sha256').update(block).digest();
  }
  return out;
}
