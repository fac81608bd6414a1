/**
 * The manifest of the root file system: every file, directory and link, where each comes from, and the rules that an
 * image must keep. Pure: contents arrive as bytes.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import { ELF_MAGIC, parseElf } from './elf.ts';

/** Where a file comes from. */
export type FileSource =
  /** A file of a Debian package; version and hash are in debian.lock.json. */
  | { readonly kind: 'debian'; readonly package: string; readonly path: string }
  /** A file of an npm package; version and hash are in package-lock.json. */
  | { readonly kind: 'npm'; readonly package: string; readonly path: string }
  /** A file in image/rootfs/. */
  | { readonly kind: 'own'; readonly path: string }
  /** Made by the build. */
  | { readonly kind: 'built'; readonly component: BuiltComponent };

/** What the build makes itself. */
export type BuiltComponent = 'keel' | 'os-release' | 'trust' | 'channel-trust';

/** One thing in the root file system. Owner and group are always root. */
export type ManifestEntry =
  | { readonly type: 'directory'; readonly path: string; readonly reason: string }
  | {
      readonly type: 'symlink';
      readonly path: string;
      readonly target: string;
      readonly reason: string;
    }
  | {
      readonly type: 'file';
      readonly path: string;
      /** Permission bits; 0o755 makes it an executable. */
      readonly mode: 0o644 | 0o755;
      readonly source: FileSource;
      /** SPDX expression. */
      readonly licence: string;
      readonly reason: string;
    };

/** A file of the manifest. */
export type ManifestFile = Extract<ManifestEntry, { type: 'file' }>;

/** Most executables that an image may hold. */
export const EXECUTABLES_MAX = 12;

const MODE_PERMITTED = 0o755;
const MODE_EXECUTE = 0o111;
const PATH = /^\/[A-Za-z0-9._+@/-]+$/;
/** Links under this prefix point at what init makes at run time. */
const RUN_TIME_PREFIX = '/run/';

/** The files of a manifest. */
export function manifestFiles(manifest: readonly ManifestEntry[]): ManifestFile[] {
  return manifest.filter((entry) => entry.type === 'file');
}

/** Paths of the executables: what has an execute bit. Libraries have none. */
export function executables(manifest: readonly ManifestEntry[]): string[] {
  return manifestFiles(manifest)
    .filter((file) => (file.mode & MODE_EXECUTE) !== 0)
    .map((file) => file.path);
}

/** Every rule that the manifest alone breaks, one sentence each; empty when it keeps all. */
export function manifestProblems(manifest: readonly ManifestEntry[]): string[] {
  const problems: string[] = [];
  const byPath = new Map(manifest.map((entry) => [entry.path, entry]));
  if (byPath.size !== manifest.length) problems.push('a path is there twice');
  for (const entry of manifest) {
    const isPlain = PATH.test(entry.path) && !/\/(\.{0,2})(\/|$)/.test(entry.path);
    if (!isPlain) problems.push(`${entry.path} is not a plain absolute path`);
    const parent = entry.path.slice(0, entry.path.lastIndexOf('/'));
    if (parent !== '' && byPath.get(parent)?.type !== 'directory') {
      problems.push(`${entry.path} has no directory ${parent}`);
    }
    if (entry.type === 'file' && (entry.mode & ~MODE_PERMITTED) !== 0) {
      const mode = (entry.mode as number).toString(8);
      problems.push(`${entry.path} has mode ${mode}: setuid, setgid, sticky or writable`);
    }
    if (entry.type === 'symlink' && !entry.target.startsWith(RUN_TIME_PREFIX)) {
      if (resolveEntry(byPath, entry.path) === undefined) {
        problems.push(`${entry.path} points at ${entry.target}, which is not there`);
      }
    }
  }
  const found = executables(manifest).length;
  if (found > EXECUTABLES_MAX) problems.push(`${found} executables, at most ${EXECUTABLES_MAX}`);
  return problems;
}

/** Follows links; undefined when something on the way is missing or it goes round. */
function resolveEntry(
  byPath: ReadonlyMap<string, ManifestEntry>,
  path: string,
): ManifestEntry | undefined {
  const linksMax = 16;
  let current = path;
  for (let links = 0; links < linksMax; links += 1) {
    const entry = byPath.get(current);
    if (entry?.type !== 'symlink') return entry;
    current = resolvePath(current, entry.target);
  }
  return undefined;
}

function resolvePath(link: string, target: string): string {
  const parts = target.startsWith('/') ? [] : link.split('/').slice(1, -1);
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** What was found out about one file's bytes. */
export interface FileFacts {
  readonly path: string;
  /** Names of shared libraries that it needs; empty when it is no ELF file. */
  readonly needed: readonly string[];
}

/**
 * Judges the bytes of one file.
 *
 * @throws KeelError E_IMAGE_INVALID when it is a script, or has an execute bit and is not an ELF program for x86-64.
 */
export function inspectFile(file: ManifestFile, bytes: Uint8Array): FileFacts {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 4));
  if (start.toString('latin1', 0, 2) === '#!') {
    throw new KeelError('E_IMAGE_INVALID', `Cannot put ${file.path} into the image: a script`);
  }
  if (start.equals(ELF_MAGIC)) return { path: file.path, needed: parseElf(bytes).needed };
  if ((file.mode & MODE_EXECUTE) !== 0) {
    throw new KeelError(
      'E_IMAGE_INVALID',
      `Cannot put ${file.path} into the image: executable, and not an ELF file`,
    );
  }
  return { path: file.path, needed: [] };
}

/** "path needs library" for every library that is needed and not in the manifest. */
export function missingLibraries(
  manifest: readonly ManifestEntry[],
  facts: readonly FileFacts[],
): string[] {
  const present = new Set(
    manifest
      .filter((entry) => entry.type !== 'directory')
      .map((entry) => entry.path.slice(entry.path.lastIndexOf('/') + 1)),
  );
  return facts.flatMap(({ path, needed }) =>
    needed.filter((library) => !present.has(library)).map((library) => `${path} needs ${library}`),
  );
}
