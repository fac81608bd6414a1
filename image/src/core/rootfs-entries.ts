/** The root file system as a SquashFS image: what goes in, in which order, and how it is packed. */
import type { FileSource, ManifestEntry } from './rootfs-manifest.ts';
import type { SquashfsEntry } from './squashfs-tree.ts';

/** How the root is packed (measured: docs/decisions/0008-squashfs-layout.md). */
export const ROOT_FORMAT = { blockBytes: 131_072, level: 19, fragments: 'none' } as const;

/** What changes more often lies behind what changes less often, and so moves nothing of it. */
const RANKS: Readonly<Record<FileSource['kind'], number>> = { debian: 0, npm: 1, own: 2, built: 3 };

const DIRECTORY_MODE = 0o755;
const SYMLINK_MODE = 0o777;

/**
 * The entries of the manifest, owner and group root.
 *
 * @param contents path and bytes of every file
 * @throws RangeError naming a file whose bytes are missing
 */
export function rootfsEntries(
  manifest: readonly ManifestEntry[],
  contents: ReadonlyMap<string, Uint8Array>,
): SquashfsEntry[] {
  return manifest.map((entry): SquashfsEntry => {
    const { path } = entry;
    if (entry.type === 'directory') return { type: 'directory', path, mode: DIRECTORY_MODE };
    if (entry.type === 'symlink') {
      return { type: 'symlink', path, mode: SYMLINK_MODE, target: entry.target };
    }
    const bytes = contents.get(path);
    if (bytes === undefined) throw new RangeError(`Cannot pack ${path}: its bytes are missing`);
    const rank = RANKS[entry.source.kind];
    return { type: 'file', path, mode: entry.mode, contents: bytes, rank };
  });
}
