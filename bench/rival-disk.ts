/**
 * A disk that is a node in everything but what runs: same firmware path, loader, kernel, command line and verified
 * root, with an init that powers off at once.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
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

const SOURCE = join(import.meta.dirname, 'rivals/empty-init.c');
const LOADER = 'usr/lib/systemd/boot/efi/systemd-bootx64.efi';
const STUB = 'usr/lib/systemd/boot/efi/linuxx64.efi.stub';
const VERSION = '0.0.0';
const EPOCH_SECONDS = 1_793_491_200;

async function buildInto(dir: string, bzImage: string): Promise<void> {
  const root = join(dir, 'root');
  for (const folder of ['sbin', 'dev', 'proc', 'sys', 'run']) {
    await mkdir(join(root, folder), { recursive: true });
  }
  await exec('gcc', ['-static', '-Os', '-s', '-o', join(root, 'sbin/init'), SOURCE]);
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

/** Path of the rival's disk, built when it is not in the cache. */
export async function rivalDisk(): Promise<string> {
  const { bzImage } = await provideKernel(createProgress());
  const inputs = await hashInputs({
    files: [SOURCE, import.meta.filename, bzImage],
    values: { version: VERSION },
  });
  const { dir } = await product({
    name: 'bench-rival',
    inputs,
    build: (folder) => buildInto(folder, bzImage),
  });
  return join(dir, 'disk.img');
}
