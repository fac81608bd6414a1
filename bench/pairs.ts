/** Pairs of versions that deltas are measured on: packages of Debian, kept in the cache as what they make. */
import { appendFile, copyFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { writeSquashfs } from '@keelos/image/shell/squashfs.ts';
import { imageSources } from '@keelos/image/sys/sources.ts';
import { hashInputs, product } from '../scripts/lib/cache.mjs';
import { fetchDebs } from '../scripts/lib/debian.mjs';
import { exec } from '../scripts/lib/exec.mjs';
import { folderEntries } from './folder-entries.ts';
import {
  CONTAINERD,
  LIBRARIES,
  type PackageVersion,
  type VersionPair,
} from './package-pairs.data.ts';
import { TREE_PACKAGES } from './pairs.data.ts';

const SUITE = 'bookworm';

/** Two folders or two files. */
export interface Pair {
  readonly older: string;
  readonly newer: string;
}

/** What the bytes of an image follow from, beside what is packed. */
async function writerSources(): Promise<string[]> {
  return (await imageSources()).filter((path) => /\/(as-core|squashfs[^/]*$)/.test(path));
}

/** Folders with the two versions of a package. @throws Error when the mirror has one of them no more */
async function folders(pair: VersionPair): Promise<Pair> {
  const [older, newer] = pair.versions;
  return { older: await unpacked(pair, older), newer: await unpacked(pair, newer) };
}

/** SquashFS files of the two versions of a package, with nothing else in them. */
async function packagePair(pair: VersionPair): Promise<Pair> {
  const { older, newer } = await folders(pair);
  const { dir } = await product({
    name: `bench-pairs/${pair.name}-images`,
    inputs: await hashInputs({ files: await writerSources(), values: { pair, IMAGE_FORMAT } }),
    build: async (folder) => {
      await writeImage(older, join(folder, OLDER));
      await writeImage(newer, join(folder, NEWER));
    },
  });
  return { older: join(dir, OLDER), newer: join(dir, NEWER) };
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
const OLDER = 'older.squashfs';
const NEWER = 'newer.squashfs';
/** What somebody writes into the configuration of containerd. */
const CONFIG_FILE = 'etc/containerd/config.toml';
const CONFIG_EDIT = '\n[debug]\n  level = "debug"\n';

/**
 * Two SquashFS files of a small node's tree: packages of Debian and the Node program; in the newer one containerd is
 * another, and a configuration file was edited.
 *
 * @throws Error when the mirror has one of the containerds no more
 */
async function treePair(): Promise<Pair> {
  const containerd = await folders(CONTAINERD);
  const { dir } = await product({
    name: 'bench-pairs/tree',
    inputs: await hashInputs({
      files: [...(await writerSources()), process.execPath],
      values: { TREE_PACKAGES, CONTAINERD, IMAGE_FORMAT, CONFIG_EDIT },
    }),
    build: async (folder) => {
      const tree = await mkdtemp(join(folder, 'tree-'));
      await unpack({ suite: SUITE, packages: { ...TREE_PACKAGES } }, tree);
      await mkdir(join(tree, 'usr/bin'), { recursive: true });
      await copyFile(process.execPath, join(tree, 'usr/bin/node'));
      await cp(containerd.older, tree, { recursive: true, verbatimSymlinks: true });
      await writeImage(tree, join(folder, OLDER));
      await cp(containerd.newer, tree, { recursive: true, verbatimSymlinks: true });
      await appendFile(join(tree, CONFIG_FILE), CONFIG_EDIT);
      await writeImage(tree, join(folder, NEWER));
      await rm(tree, { recursive: true });
    },
  });
  return { older: join(dir, OLDER), newer: join(dir, NEWER) };
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

/** Name to the pair, made when it is not in the cache. */
export const PAIRS: Readonly<Record<string, () => Promise<Pair>>> = {
  tree: treePair,
  ...Object.fromEntries(
    [CONTAINERD, ...LIBRARIES].map((pair) => [pair.name, () => packagePair(pair)]),
  ),
};
