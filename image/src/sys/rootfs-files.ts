/** The files of the root file system: every one of the manifest, read from where it comes from, and checked. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KeelError } from '@keelos/proto/errors.ts';
import type {
  BuiltComponent,
  FileFacts,
  FileSource,
  ManifestEntry,
} from '../core/rootfs-manifest.ts';
import {
  inspectFile,
  manifestFiles,
  manifestProblems,
  missingLibraries,
} from '../core/rootfs-manifest.ts';

const ROOTFS_DIR = fileURLToPath(new URL('../../rootfs', import.meta.url));
const require = createRequire(import.meta.url);

/** Where the sources of a manifest are on this machine. */
export interface SourcePlaces {
  /** Debian package to the folder it was unpacked into. */
  readonly debian: Readonly<Record<string, string>>;
  /** Component to its bytes. */
  readonly built: Readonly<Record<BuiltComponent, Uint8Array>>;
}

function sourcePath(source: Exclude<FileSource, { kind: 'built' }>, places: SourcePlaces): string {
  if (source.kind === 'own') return join(ROOTFS_DIR, source.path);
  if (source.kind === 'npm') {
    return resolve(require.resolve(`${source.package}/package.json`), '..', source.path);
  }
  const folder = places.debian[source.package];
  if (folder === undefined) {
    const reason = `no Debian package ${source.package} in debian.lock.json`;
    throw new KeelError('E_IMAGE_INVALID', `Cannot make root file system: ${reason}`);
  }
  return join(folder, source.path);
}

/**
 * Reads every file, and checks every rule of an image.
 *
 * @returns path in the image and bytes of each
 * @throws KeelError E_IMAGE_INVALID naming what breaks a rule.
 */
export async function readRootfsFiles(
  manifest: readonly ManifestEntry[],
  places: SourcePlaces,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const problems = manifestProblems(manifest);
  const facts: FileFacts[] = [];
  const contents = new Map<string, Uint8Array>();
  if (problems.length === 0) {
    for (const entry of manifestFiles(manifest)) {
      const { source } = entry;
      const bytes =
        source.kind === 'built'
          ? places.built[source.component]
          : await readFile(sourcePath(source, places));
      facts.push(inspectFile(entry, bytes));
      contents.set(entry.path, bytes);
    }
    problems.push(...missingLibraries(manifest, facts));
  }
  if (problems.length > 0) {
    throw new KeelError('E_IMAGE_INVALID', `Cannot make root file system: ${problems.join('; ')}`);
  }
  return contents;
}
