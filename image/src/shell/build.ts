/**
 * Builds an image: root file system, hash tree, kernel image, disk, manifest and bill of materials. Kept in the cache
 * by the hash of everything that goes in.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { readTrustFile } from '@keelos/as-core/bundle.ts';
import { CoreWorkers, WORKERS_MAX } from '@keelos/as-core/workers.ts';
import type { TrustFile } from '@keelos/proto/bundle.ts';
import { EMPTY_TRUST, encodeTrust } from '@keelos/proto/bundle-writer.ts';
import type { Gpt } from '@keelos/proto/gpt.ts';
import { hashInputs, product } from '../../../scripts/lib/cache.mjs';
import type { createProgress } from '../../../scripts/lib/progress.mjs';
import { osRelease } from '../core/boot-files.ts';
import { kernelCommandLine } from '../core/command-line.ts';
import { buildDisk, derivedGuid, freshTable } from '../core/disk.ts';
import { PARTITIONS } from '../core/disk-layout.data.ts';
import type { ImageManifest } from '../core/image-manifest.ts';
import { imageManifest, manifestText } from '../core/image-manifest.ts';
import { ROOT_FORMAT, rootfsEntries } from '../core/rootfs-entries.ts';
import { ROOTFS_MANIFEST } from '../core/rootfs-manifest.data.ts';
import { spdxDocument } from '../core/sbom.ts';
import type { SquashfsEntry } from '../core/squashfs-tree.ts';
import { buildUki, kernelRelease } from '../core/uki.ts';
import type { DebianParts } from '../sys/debian-parts.ts';
import { fetchDebianParts, unpackDeb } from '../sys/debian-parts.ts';
import { buildExecutable } from '../sys/executable.ts';
import { sha256File } from '../sys/file-hash.ts';
import type { Kernel } from '../sys/kernel.ts';
import { provideKernel } from '../sys/kernel.ts';
import { lockedPackages } from '../sys/npm-lock.ts';
import { readRootfsFiles } from '../sys/rootfs-files.ts';
import { buildEpochSeconds, imageSources, toolVersions } from '../sys/sources.ts';
import { copySparse, writeSparse } from '../sys/sparse-file.ts';
import { makeStateFileSystem } from '../sys/state-partition.ts';
import { appendHashTree } from '../sys/verity.ts';
import { IMAGE_FILES } from './image-files.ts';
import { writeSquashfs } from './squashfs.ts';

type Progress = ReturnType<typeof createProgress>;

const VERSION = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]{1,40})?$/;
/** On two processors. */
const COMPRESS_SECONDS = 30;
const LOADER = 'usr/lib/systemd/boot/efi/systemd-bootx64.efi';
const STUB = 'usr/lib/systemd/boot/efi/linuxx64.efi.stub';

/** A built image. Paths are absolute; `dir` must not be written to. */
export interface BuiltImage {
  readonly dir: string;
  /** Raw disk, sparse. */
  readonly disk: string;
  /** Unified kernel image. */
  readonly uki: string;
  /** SquashFS with its hash tree behind it. */
  readonly root: string;
  readonly rootHash: string;
  readonly manifest: ImageManifest;
  readonly sbom: string;
  /** False when it came from the cache. */
  readonly built: boolean;
}

interface BuildContext {
  readonly dir: string;
  readonly version: string;
  readonly epochSeconds: number;
  readonly trust: TrustFile;
  readonly channelTrust: TrustFile;
  readonly progress: Progress;
  readonly kernel: Kernel;
  readonly debian: DebianParts;
  readonly tools: Readonly<Record<string, string>>;
}

async function packRoot(tree: readonly SquashfsEntry[], epochSeconds: number): Promise<Buffer> {
  const workers = new CoreWorkers(Math.min(availableParallelism(), WORKERS_MAX));
  try {
    return await writeSquashfs({ tree, ...ROOT_FORMAT, epochSeconds, workers });
  } finally {
    await workers.close();
  }
}

async function makeRoot(context: BuildContext, work: string) {
  const { progress, epochSeconds, version } = context;
  const unpacked: Record<string, string> = {};
  for (const [name, { file }] of Object.entries(context.debian.debs)) {
    unpacked[name] = join(work, 'debs', name);
    await unpackDeb(file, unpacked[name]);
  }
  const executable = await progress.step('bundle keel', { estimateSeconds: 5 }, async () => {
    await mkdir(join(work, 'keel'));
    return buildExecutable(join(work, 'keel'));
  });
  const release = osRelease({ version, buildEpochSeconds: epochSeconds });
  const contents = await readRootfsFiles(ROOTFS_MANIFEST, {
    debian: unpacked,
    built: {
      keel: await readFile(executable.path),
      'os-release': Buffer.from(release),
      trust: encodeTrust(context.trust),
      'channel-trust': encodeTrust(context.channelTrust),
    },
  });
  const squashfs = await progress.step(
    'compress root file system',
    { estimateSeconds: COMPRESS_SECONDS },
    () => packRoot(rootfsEntries(ROOTFS_MANIFEST, contents), epochSeconds),
  );
  const root = await appendHashTree(squashfs);
  return { ...root, contents, executable, unpacked, release };
}

function stateSizeBytes(): number {
  const plan = PARTITIONS.find(({ role }) => role === 'state');
  if (plan === undefined) throw new RangeError('no state partition in the layout');
  return plan.sizeBytes;
}

async function buildInto(context: BuildContext): Promise<void> {
  const { dir, version, epochSeconds, progress, kernel } = context;
  const work = join(dir, 'work');
  await mkdir(work);
  const root = await makeRoot(context, work);
  const { rootHash } = root.verity;
  const bzImage = await readFile(kernel.bzImage);
  const boot = root.unpacked['systemd-boot-efi'] ?? '';
  const uki = buildUki({
    stub: await readFile(join(boot, STUB)),
    kernel: bzImage,
    commandLine: kernelCommandLine(root.verity),
    osRelease: root.release,
    kernelRelease: kernelRelease(bzImage),
  });
  const table: Gpt = freshTable(rootHash);
  await progress.step('write disk image', { estimateSeconds: 5 }, async () => {
    const state = await makeStateFileSystem({
      sizeBytes: stateSizeBytes(),
      epochSeconds,
      uuid: derivedGuid('state file system', rootHash),
      scratch: join(work, 'state.img'),
    });
    const loader = await readFile(join(boot, LOADER));
    const disk = buildDisk({
      version,
      rootHash,
      buildEpochSeconds: epochSeconds,
      loader,
      uki,
      state,
      root: root.image,
    });
    await writeSparse(join(dir, IMAGE_FILES.disk), disk);
  });
  await writeFile(join(dir, IMAGE_FILES.root), root.image);
  await writeFile(join(dir, IMAGE_FILES.uki), uki);
  const sbom = spdxDocument({
    version,
    rootHash,
    epochSeconds,
    manifest: ROOTFS_MANIFEST,
    contents: root.contents,
    debian: context.debian.debs,
    npm: await lockedPackages(root.executable.packageFolders),
    kernel: { version: kernel.version, sourceVersion: kernel.source, bytes: bzImage },
  });
  await writeFile(join(dir, IMAGE_FILES.sbom), sbom);
  const diskSha256 = await sha256File(join(dir, IMAGE_FILES.disk));
  const manifest = imageManifest({
    version,
    epochSeconds,
    verity: root.verity,
    table,
    kernelVersion: kernel.version,
    trust: context.trust,
    channelTrust: context.channelTrust,
    tools: context.tools,
    substituted: context.debian.substituted,
    parts: { root: root.image, uki, kernel: bzImage, sbom: Buffer.from(sbom) },
    disk: { sha256: diskSha256 },
    keel: root.contents.get('/usr/bin/keel') ?? Buffer.alloc(0),
  });
  await writeFile(join(dir, IMAGE_FILES.manifest), manifestText(manifest));
  await rm(work, { recursive: true });
}

/**
 * Builds the image of one version, or finds it in the cache. The kernel is built first when it must be.
 *
 * @param options.out a folder that gets a copy of everything, sparse where it can be
 * @param options.trust bytes of the trust file; without them it trusts nobody
 * @param options.channelTrust the same for channels
 * @throws KeelError E_IMAGE_INVALID when the trust file is not in its one form
 * @throws RangeError when the version is not `major.minor.patch[-suffix]`
 * @throws Error naming the step, when a tool fails
 */
export async function buildImage(options: {
  readonly version: string;
  readonly progress: Progress;
  readonly out?: string;
  readonly trust?: Uint8Array;
  readonly channelTrust?: Uint8Array;
}): Promise<BuiltImage> {
  const { version, progress, out } = options;
  const read = async (bytes?: Uint8Array) =>
    bytes === undefined ? EMPTY_TRUST : readTrustFile(bytes);
  const [trust, channelTrust] = [await read(options.trust), await read(options.channelTrust)];
  if (!VERSION.test(version)) {
    throw new RangeError(
      `Cannot build image: version "${version}" is not like 1.2.3 or 1.2.3-rc.1`,
    );
  }
  const kernel = await provideKernel(progress);
  const debian = await progress.step('fetch packages', { estimateSeconds: 10 }, fetchDebianParts);
  const tools = await toolVersions();
  const epochSeconds = await buildEpochSeconds();
  const debs = Object.entries(debian.debs).map(([name, { sha256 }]) => [name, sha256]);
  const inputs = await hashInputs({
    files: [...(await imageSources()), kernel.bzImage],
    values: { version, epochSeconds, tools, debs, trust, channelTrust },
  });
  const { dir, built } = await product({
    name: 'image',
    inputs,
    build: (folder) =>
      buildInto({
        ...{ dir: folder, version, epochSeconds, trust, channelTrust, progress, kernel, debian },
        tools,
      }),
  });
  if (out !== undefined) await copyOut(dir, out);
  return openImage(out ?? dir, built);
}

async function copyOut(dir: string, out: string): Promise<void> {
  await mkdir(out, { recursive: true });
  for (const name of Object.values(IMAGE_FILES)) {
    await copySparse(join(dir, name), join(out, name));
  }
}

async function openImage(dir: string, built: boolean): Promise<BuiltImage> {
  const path = (name: keyof typeof IMAGE_FILES) => join(dir, IMAGE_FILES[name]);
  const manifest: ImageManifest = JSON.parse(await readFile(path('manifest'), 'utf8'));
  return {
    dir,
    manifest,
    built,
    rootHash: manifest.rootHash,
    disk: path('disk'),
    uki: path('uki'),
    root: path('root'),
    sbom: path('sbom'),
  };
}
