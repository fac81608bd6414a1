/** Pairs of versions that deltas are measured on: packages of Debian, kept in the cache as what they make. */
import { appendFile, copyFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { writeSquashfs } from '@keelos/image/shell/squashfs.ts';
import { product } from '../scripts/lib/cache.mjs';
import { fetchDebs } from '../scripts/lib/debian.mjs';
import { exec } from '../scripts/lib/exec.mjs';
import { folderEntries } from './folder-entries.ts';
import { TREE_PACKAGES } from './pairs.data.ts';

const SUITE = 'bookworm';

interface PackageVersion {
  readonly version: string;
  readonly sha256: string;
}

/** Two versions of a package. */
interface VersionPair {
  readonly name: string;
  readonly versions: readonly [PackageVersion, PackageVersion];
}

/** A patch release of containerd: five Go programs, each linked anew. */
const CONTAINERD: VersionPair = {
  name: 'containerd',
  versions: [
    {
      version: '1.6.20~ds1-1+deb12u2',
      sha256: '97a18ebff2326b96ce9bd7b1904bba4204525b678744294ab78d76acb6f3af62',
    },
    {
      version: '1.6.20~ds1-1+deb12u3',
      sha256: '8669d264eeb0fcdb4a0b1ba436ab88ec5dafde4a66e1278ec279d830db4c2216',
    },
  ],
};

/** Two folders or two files. */
export interface Pair {
  readonly older: string;
  readonly newer: string;
}

/** Folders with the two containerds. @throws Error when the mirror has one of the versions no more */
export async function containerdPair(): Promise<Pair> {
  const [older, newer] = CONTAINERD.versions;
  return { older: await unpacked(CONTAINERD, older), newer: await unpacked(CONTAINERD, newer) };
}

async function unpacked({ name }: VersionPair, of: PackageVersion): Promise<string> {
  const { dir } = await product({
    name: `bench-pairs/${name}`,
    inputs: { values: { name, ...of } },
    build: async (folder) => {
      const lock = { suite: SUITE, packages: { [name]: of } };
      const { substituted } = await unpack(lock, folder);
      if (substituted === 0) return;
      throw new Error(`Cannot measure on ${name} ${of.version}: the mirror has it no more`);
    },
  });
  return dir;
}

/** Puts what packages install into a folder; tells how many had to be other versions. */
async function unpack(
  lock: { readonly suite: string; readonly packages: Record<string, PackageVersion> },
  folder: string,
): Promise<{ substituted: number }> {
  const scratch = await mkdtemp(join(folder, 'debs-'));
  const { debs, substituted } = await fetchDebs({ lock, dest: scratch });
  for (const { file } of Object.values(debs)) await exec('dpkg-deb', ['-x', file, folder]);
  await rm(scratch, { recursive: true });
  return { substituted: substituted.length };
}

/** How the images of a tree are made. */
const IMAGE_FORMAT = { blockBytes: 131_072, level: 15, fragments: 'none' } as const;
const EPOCH_SECONDS = 1_793_491_200;
/** What somebody writes into the configuration of containerd. */
const CONFIG_FILE = 'etc/containerd/config.toml';
const CONFIG_EDIT = '\n[debug]\n  level = "debug"\n';

/**
 * Two SquashFS files of a small node's tree: packages of Debian and the Node program; in the newer one containerd is
 * another, and a configuration file was edited.
 *
 * @throws Error when the mirror has one of the containerds no more
 */
export async function treePair(): Promise<Pair> {
  const containerd = await containerdPair();
  const { dir } = await product({
    name: 'bench-pairs/tree',
    inputs: { values: { TREE_PACKAGES, CONTAINERD, IMAGE_FORMAT, CONFIG_EDIT } },
    build: async (folder) => {
      const tree = await mkdtemp(join(folder, 'tree-'));
      await unpack({ suite: SUITE, packages: { ...TREE_PACKAGES } }, tree);
      await mkdir(join(tree, 'usr/bin'), { recursive: true });
      await copyFile(process.execPath, join(tree, 'usr/bin/node'));
      await cp(containerd.older, tree, { recursive: true, verbatimSymlinks: true });
      await writeImage(tree, join(folder, 'older.squashfs'));
      await cp(containerd.newer, tree, { recursive: true, verbatimSymlinks: true });
      await appendFile(join(tree, CONFIG_FILE), CONFIG_EDIT);
      await writeImage(tree, join(folder, 'newer.squashfs'));
      await rm(tree, { recursive: true });
    },
  });
  return { older: join(dir, 'older.squashfs'), newer: join(dir, 'newer.squashfs') };
}

async function writeImage(folder: string, file: string): Promise<void> {
  const workers = new CoreWorkers(availableParallelism());
  try {
    const tree = await folderEntries(folder);
    const options = { tree, ...IMAGE_FORMAT, epochSeconds: EPOCH_SECONDS, workers };
    await writeFile(file, await writeSquashfs(options));
  } finally {
    await workers.close();
  }
}
