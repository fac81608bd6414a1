// The kernel's source package: fetched once, unpacked for each build.

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { product } from '../../scripts/lib/cache.mjs';
import { fetchDebs } from '../../scripts/lib/debian.mjs';
import { exec } from '../../scripts/lib/exec.mjs';
import type { SourceLock } from './core/reference-page.ts';

const UNPACK_TIMEOUT_MS = 20 * 60_000;

/** The source package that a build uses. */
export interface KernelSource {
  readonly package: string;
  readonly version: string;
  readonly sha256: string;
  /** true when the mirror no longer had the locked version */
  readonly isSubstitute: boolean;
  /** absolute path of the .deb */
  readonly deb: string;
}

/**
 * Fetches the locked package, or the newest of the same name when the mirror has the locked one no more. The second
 * case is said on stderr each time, from the cache too.
 *
 * @throws {Error} when there is neither, or the bytes are not the locked ones
 */
export async function fetchKernelSource(lock: SourceLock): Promise<KernelSource> {
  const { dir } = await product({
    name: 'kernel-source',
    inputs: { values: { ...lock } },
    build: async (folder) => {
      const { debs, substituted } = await fetchDebs({
        lock: {
          suite: lock.suite,
          packages: { [lock.package]: { version: lock.version, sha256: lock.sha256 } },
        },
        dest: folder,
      });
      const deb = debs[lock.package];
      if (deb === undefined) throw new Error(`Cannot fetch ${lock.package}`);
      const source = {
        package: lock.package,
        version: deb.version,
        sha256: deb.sha256,
        isSubstitute: substituted.length > 0,
        deb: basename(deb.file),
      };
      await writeFile(join(folder, 'source.json'), JSON.stringify(source));
    },
  });
  const source = JSON.parse(await readFile(join(dir, 'source.json'), 'utf8')) as KernelSource;
  if (source.isSubstitute) {
    process.stderr.write(
      `!!! The kernel is built from ${source.package} ${source.version}: ${lock.version} is no longer on the mirror.\n` +
        '!!! Update kernel/source.lock.json.\n',
    );
  }
  return { ...source, deb: join(dir, source.deb) };
}

/** Unpacks the source tree into `folder`, which is made and must not exist. Needs about 1.6 GB and removes what it no longer needs. */
export async function unpackKernelSource(source: KernelSource, folder: string): Promise<void> {
  const packed = `${folder}.package`;
  await exec('dpkg-deb', ['--extract', source.deb, packed], { timeoutMs: UNPACK_TIMEOUT_MS });
  await mkdir(folder);
  const archive = join(packed, 'usr/src', `${source.package}.tar.xz`);
  const flags = ['--extract', '--strip-components=1', '--no-same-owner'];
  await exec('tar', [...flags, '--file', archive, '--directory', folder], {
    timeoutMs: UNPACK_TIMEOUT_MS,
  });
  await rm(packed, { recursive: true });
}
