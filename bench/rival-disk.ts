/**
 * A disk that is a node in everything but what runs: same firmware path, loader, kernel, command line and verified
 * root, with an init of the rival's own.
 */
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { osRelease } from '@keelos/image/core/boot-files.ts';
import { kernelCommandLine } from '@keelos/image/core/command-line.ts';
import { buildDisk, derivedGuid } from '@keelos/image/core/disk.ts';
import { PARTITIONS } from '@keelos/image/core/disk-layout.data.ts';
import { ROOT_FORMAT } from '@keelos/image/core/rootfs-entries.ts';
import { buildUki, kernelRelease } from '@keelos/image/core/uki.ts';
import { writeSquashfs } from '@keelos/image/shell/squashfs.ts';
import { fetchDebianParts, unpackDeb } from '@keelos/image/sys/debian-parts.ts';
import { provideKernel } from '@keelos/image/sys/kernel.ts';
import { writeSparse } from '@keelos/image/sys/sparse-file.ts';
import { makeStateFileSystem } from '@keelos/image/sys/state-partition.ts';
import { appendHashTree } from '@keelos/image/sys/verity.ts';
import { hashInputs, product } from '../scripts/lib/cache.mjs';
import { exec } from '../scripts/lib/exec.mjs';
import { createProgress } from '../scripts/lib/progress.mjs';
import { folderEntries } from './folder-entries.ts';

const RIVALS = join(import.meta.dirname, 'rivals');
const LOADER = 'usr/lib/systemd/boot/efi/systemd-bootx64.efi';
const STUB = 'usr/lib/systemd/boot/efi/linuxx64.efi.stub';
const VERSION = '0.0.0';
const EPOCH_SECONDS = 1_793_491_200;

/** What runs on the disk. */
interface Rival {
  /** C source in rivals/, without its ending. */
  readonly name: string;
  /** Options of the compiler. */
  readonly defines?: readonly string[];
  /** Programs of this machine that it starts, with the libraries that they need. */
  readonly programs?: readonly string[];
}

/** Copies a program and every library that ldd names to the same places under `root`. */
async function addProgram(root: string, program: string): Promise<void> {
  const { stdout } = await exec('ldd', [program]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path);
  for (const path of [program, ...libraries]) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await copyFile(path, join(root, path));
  }
}

async function buildInto(dir: string, bzImage: string, rival: Rival): Promise<void> {
  const root = join(dir, 'root');
  for (const folder of ['sbin', 'dev', 'proc', 'sys', 'run']) {
    await mkdir(join(root, folder), { recursive: true });
  }
  const source = join(RIVALS, `${rival.name}.c`);
  const options = ['-static', '-Os', '-s', ...(rival.defines ?? [])];
  await exec('gcc', [...options, '-o', join(root, 'sbin/init'), source]);
  for (const program of rival.programs ?? []) await addProgram(root, program);
  const workers = new CoreWorkers(1);
  const tree = await folderEntries(root);
  const squashfs = await writeSquashfs({
    ...ROOT_FORMAT,
    ...{ tree, epochSeconds: EPOCH_SECONDS, workers },
  });
  await workers.close();
  const { image, verity } = await appendHashTree(squashfs);
  const { debs } = await fetchDebianParts();
  const boot = join(dir, 'boot');
  await unpackDeb(debs['systemd-boot-efi']?.file ?? '', boot);
  const kernel = await readFile(bzImage);
  const uki = buildUki({
    stub: await readFile(join(boot, STUB)),
    kernel,
    commandLine: kernelCommandLine(verity),
    osRelease: osRelease({ version: VERSION, buildEpochSeconds: EPOCH_SECONDS }),
    kernelRelease: kernelRelease(kernel),
  });
  const state = await makeStateFileSystem({
    sizeBytes: PARTITIONS.find(({ role }) => role === 'state')?.sizeBytes ?? 0,
    epochSeconds: EPOCH_SECONDS,
    uuid: derivedGuid('state file system', verity.rootHash),
    scratch: join(dir, 'state.img'),
  });
  const extents = buildDisk({
    ...{ version: VERSION, rootHash: verity.rootHash, buildEpochSeconds: EPOCH_SECONDS },
    ...{ loader: await readFile(join(boot, LOADER)), uki, root: image, state },
  });
  await writeSparse(join(dir, 'disk.img'), extents);
}

/** Path of the disk of a rival, built when it is not in the cache. */
export async function diskOf(rival: Rival): Promise<string> {
  const { bzImage } = await provideKernel(createProgress());
  const inputs = await hashInputs({
    files: [join(RIVALS, `${rival.name}.c`), import.meta.filename, bzImage],
    values: { version: VERSION, ...rival },
  });
  const { dir } = await product({
    name: `bench-rival/${rival.name}`,
    inputs,
    build: (folder) => buildInto(folder, bzImage, rival),
  });
  return join(dir, 'disk.img');
}

/** The rival of `boot`: an init that powers off at once. */
export function rivalDisk(): Promise<string> {
  return diskOf({ name: 'empty-init' });
}
