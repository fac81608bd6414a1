/**
 * Writing a SquashFS image from a folder to a file, against mksquashfs with the same level, block size and number of
 * processors: seconds, and bytes. The folder is the root of the built image, or the caller's.
 */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { ROOT_FORMAT } from '@keelos/image/core/rootfs-entries.ts';
import { writeSquashfs } from '@keelos/image/shell/squashfs.ts';
import { ensureTools } from '../scripts/lib/apt.mjs';
import { exec } from '../scripts/lib/exec.mjs';
import { findBuiltNode } from '../scripts/lib/node-image.mjs';
import { folderEntries } from './folder-entries.ts';
import { type Figure, figure } from './report.ts';
import { type BenchOptions, inTurn } from './rounds.ts';

const EPOCH_SECONDS = 1_793_491_200;
const TOOLS = [{ command: 'mksquashfs', package: 'squashfs-tools', why: 'the rival' }];

/** A folder with what is to be packed: `input` itself, or what a SquashFS file holds. */
async function folderOf(input: string | undefined, scratch: string): Promise<string> {
  const source = input ?? (await findBuiltNode()).root;
  if ((await stat(source)).isDirectory()) return source;
  const folder = join(scratch, 'folder');
  await exec('unsquashfs', ['-quiet', '-no-progress', '-dest', folder, source]);
  return folder;
}

/** Packs `folder` by turns. */
async function measure(folder: string, scratch: string, runs: number): Promise<Figure[]> {
  const processors = availableParallelism();
  const workers = new CoreWorkers(processors);
  const { blockBytes, level } = ROOT_FORMAT;
  const rivalArgs = [
    ...['-comp', 'zstd', '-Xcompression-level', String(level), '-b', String(blockBytes)],
    ...['-processors', String(processors), '-all-root', '-no-xattrs', '-no-exports'],
    ...['-noappend', '-no-progress', '-quiet'],
  ];
  const files = { own: join(scratch, 'own'), mksquashfs: join(scratch, 'rival') };
  try {
    const seconds = await inTurn(runs, {
      own: async () => {
        const tree = await folderEntries(folder);
        const options = { tree, ...ROOT_FORMAT, epochSeconds: EPOCH_SECONDS, workers };
        await writeFile(files.own, await writeSquashfs(options));
        return undefined;
      },
      mksquashfs: async () => {
        await exec('mksquashfs', [folder, files.mksquashfs, ...rivalArgs]);
        return undefined;
      },
    });
    const sizes = await Promise.all(Object.values(files).map((file) => stat(file)));
    const [own = 0, rival = 0] = sizes.map(({ size }) => size);
    const shape = `${blockBytes / 1024}k-level-${level}-processors-${processors}`;
    const common = { bench: 'squashfs-write', better: 'lower' } as const;
    return [
      figure({
        ...{ ...common, name: `time-${shape}`, unit: 's', values: seconds.own },
        rival: { name: 'mksquashfs', values: seconds.mksquashfs },
      }),
      figure({
        ...{ ...common, name: `size-${shape}`, unit: 'bytes', values: [own] },
        rival: { name: 'mksquashfs', values: [rival] },
      }),
    ];
  } finally {
    await workers.close();
  }
}

/** Two figures. @throws Error when the folder holds devices, FIFOs or sockets */
export async function squashfsWrite({ runs, input }: BenchOptions): Promise<Figure[]> {
  await ensureTools(TOOLS);
  const scratch = await mkdtemp(join(tmpdir(), 'keel-bench-'));
  try {
    return await measure(await folderOf(input, scratch), scratch, runs);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
