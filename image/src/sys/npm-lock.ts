/** Facts about npm packages from package-lock.json. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { NpmPackage } from '../core/sbom.ts';

const LOCK_PATH = fileURLToPath(new URL('../../../package-lock.json', import.meta.url));

interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
}

/**
 * Name, version, licence and integrity of packages, by their folders relative to the repository
 * (`node_modules/koffi`), sorted.
 *
 * @throws Error when one is not in the lock file.
 */
export async function lockedPackages(folders: readonly string[]): Promise<NpmPackage[]> {
  const lock: { packages: Record<string, LockEntry> } = JSON.parse(
    await readFile(LOCK_PATH, 'utf8'),
  );
  return [...new Set(folders)].sort().map((folder) => {
    const entry = lock.packages[folder];
    const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (entry?.version === undefined) throw new Error(`${folder} is not in package-lock.json`);
    const { version, license = '', integrity = '' } = entry;
    return { name, version, licence: license, integrity };
  });
}
