/** A root whose PID 1 and agent fail as `KEEL_FAULT` on the kernel's command line says; built once, kept in the cache. */
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuiltImage } from '@keelos/image/shell/build.ts';
import { buildExecutable } from '@keelos/image/sys/executable.ts';
import { hashInputs, product } from '../../scripts/lib/cache.mjs';
import { filesBelow } from '../../scripts/lib/files-below.mjs';
import { tool } from './disk.ts';

const ENTRIES = join(import.meta.dirname, 'faulty');
const FILE = 'root.squashfs';

/** Bytes of the file system, padded, without a hash tree. */
export async function faultyRoot(image: BuiltImage): Promise<Buffer> {
  const inputs = await hashInputs({
    files: [...(await filesBelow(ENTRIES, (name) => name.endsWith('.ts'))), import.meta.filename],
    values: { rootHash: image.rootHash },
  });
  const { dir } = await product({
    name: 'faulty-root',
    inputs,
    build: (folder) => buildInto(folder, image),
  });
  return readFile(join(dir, FILE));
}

/** The files of a good root with another `keel`. Packed by mksquashfs, quickly rather than small. */
async function buildInto(dir: string, image: BuiltImage): Promise<void> {
  const work = join(dir, 'work');
  const [files, keel] = [join(work, 'files'), join(work, 'keel')];
  await mkdir(keel, { recursive: true });
  await tool('unsquashfs', '-quiet', '-no-progress', '-no-xattrs', '-d', files, image.root);
  const executable = await buildExecutable(keel, {
    init: join(ENTRIES, 'init.ts'),
    agent: join(ENTRIES, 'agent.ts'),
  });
  await copyFile(executable.path, join(files, 'usr/bin/keel'));
  const time = String(image.manifest.buildEpochSeconds);
  await tool(
    ...(['mksquashfs', files, join(dir, FILE), '-quiet', '-no-progress'] as const),
    ...['-noappend', '-all-root', '-no-xattrs', '-mkfs-time', time, '-all-time', time],
    ...['-comp', 'zstd', '-Xcompression-level', '3', '-b', '131072'],
  );
  await rm(work, { recursive: true });
}
