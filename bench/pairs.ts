/** Pairs of versions that deltas are measured on: packages of Debian, kept in the cache as the folders that they hold. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { product } from '../scripts/lib/cache.mjs';
import { fetchDebs } from '../scripts/lib/debian.mjs';
import { exec } from '../scripts/lib/exec.mjs';

const SUITE = 'bookworm';

/** Two versions of one package. */
interface VersionPair {
  readonly name: string;
  readonly versions: readonly [PackageVersion, PackageVersion];
}

interface PackageVersion {
  readonly version: string;
  readonly sha256: string;
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

/** Folders with what the two versions install. */
export interface PairFolders {
  readonly older: string;
  readonly newer: string;
}

/** The two containerds. @throws Error when the mirror has one of the versions no more */
export async function containerdPair(): Promise<PairFolders> {
  const [older, newer] = CONTAINERD.versions;
  return { older: await unpacked(CONTAINERD, older), newer: await unpacked(CONTAINERD, newer) };
}

async function unpacked({ name }: VersionPair, of: PackageVersion): Promise<string> {
  const { dir } = await product({
    name: `bench-pairs/${name}`,
    inputs: { values: { name, ...of } },
    build: async (folder) => {
      const scratch = await mkdtemp(join(folder, 'debs-'));
      const lock = { suite: SUITE, packages: { [name]: of } };
      const { debs, substituted } = await fetchDebs({ lock, dest: scratch });
      const file = debs[name]?.file;
      if (file === undefined || substituted.length > 0) {
        throw new Error(`Cannot measure on ${name} ${of.version}: the mirror has it no more`);
      }
      await exec('dpkg-deb', ['-x', file, folder]);
      await rm(scratch, { recursive: true });
    },
  });
  return dir;
}
