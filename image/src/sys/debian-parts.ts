/** The Debian packages of an image: fetched by the lock file and unpacked, without root and without dpkg's database. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheRoot } from '../../../scripts/lib/cache.mjs';
import { fetchDebs } from '../../../scripts/lib/debian.mjs';
import { exec } from '../../../scripts/lib/exec.mjs';

/** The lock file. */
export const DEBIAN_LOCK_PATH = fileURLToPath(new URL('../../debian.lock.json', import.meta.url));

/** The lock file's contents. */
export interface DebianLock {
  readonly suite: string;
  readonly packages: Readonly<
    Record<string, { readonly version: string; readonly sha256: string }>
  >;
}

/** The packages that were fetched. */
export interface DebianParts {
  readonly debs: Readonly<
    Record<string, { readonly file: string; readonly version: string; readonly sha256: string }>
  >;
  /** Packages that the mirror no longer has in the locked version. */
  readonly substituted: readonly {
    readonly name: string;
    readonly locked: string;
    readonly taken: string;
  }[];
}

/** Reads the lock file. */
export async function readDebianLock(): Promise<DebianLock> {
  return JSON.parse(await readFile(DEBIAN_LOCK_PATH, 'utf8'));
}

/** Fetches every locked package that is not in the cache. */
export async function fetchDebianParts(): Promise<DebianParts> {
  const lock = await readDebianLock();
  return fetchDebs({ lock, dest: join(cacheRoot(), 'debs') });
}

/** Unpacks one package into `folder`, which is made. Packages contain programs to run on installation: none runs. */
export async function unpackDeb(deb: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await exec('dpkg-deb', ['--extract', deb, folder]);
}
