/** Judges a FAT32 file system as fsck.vfat would, with the firmware's reader. */
import type { FirmwareFat, FoundFolder } from './firmware-fat.ts';

/** What is wrong. */
export interface FatFindings {
  /** Something that a reader may stumble over, or that loses data when it is mended. */
  readonly errors: readonly string[];
  /** Clusters that are marked as used and belong to nothing. */
  readonly lostClusters: number;
  /** The copies of the table differ. */
  readonly areTablesDifferent: boolean;
}

const FOLDERS_MAX = 64;

/** Looks at everything. */
export function checkFat(fat: FirmwareFat): FatFindings {
  const errors: string[] = [];
  const owners = new Map<number, string>();
  const claim = (path: string, first: number): number => {
    const clusters = fat.chain(first);
    if (!fat.isEnded(first)) errors.push(`${path}: its chain has no end`);
    for (const cluster of clusters) {
      const owner = owners.get(cluster);
      if (owner !== undefined) errors.push(`${path}: shares clusters with ${owner}`);
      owners.set(cluster, path);
    }
    return clusters.length;
  };
  const visit = (path: string, folder: FoundFolder, depth: number): void => {
    const names = new Set<string>();
    for (const entry of folder.entries) {
      const own = `${path}/${entry.name}`;
      if (!entry.isChecksumRight) errors.push(`${own}: long name of another`);
      if (names.has(entry.name.toUpperCase())) errors.push(`${own}: two of that name`);
      names.add(entry.name.toUpperCase());
      if (!entry.isDirectory && entry.sizeBytes === 0) {
        if (entry.firstCluster !== 0) errors.push(`${own}: empty, with clusters`);
        continue;
      }
      const clusters = claim(own, entry.firstCluster);
      const needed = Math.ceil(entry.sizeBytes / fat.clusterBytes);
      if (!entry.isDirectory && clusters !== needed) {
        errors.push(`${own}: ${clusters} clusters for ${entry.sizeBytes} bytes`);
      }
      if (entry.isDirectory && depth < FOLDERS_MAX) visit(own, fat.folderOf(entry), depth + 1);
    }
  };
  claim('/', fat.rootCluster);
  const root = fat.folder('');
  if (root !== undefined) visit('', root, 0);
  const lostClusters = fat.usedClusters().filter((cluster) => !owners.has(cluster)).length;
  const first = fat.table(0);
  const copies = Array.from({ length: fat.tableCount - 1 }, (_, copy) => fat.table(copy + 1));
  const areTablesDifferent = copies.some(
    (copy) => !copy.equals(first) && !withoutFlags(copy).equals(withoutFlags(first)),
  );
  return { errors, lostClusters, areTablesDifferent };
}

/** The second entry has the flags of the volume, which the firmware keeps in the first table only. */
function withoutFlags(table: Buffer): Buffer {
  const copy = Buffer.from(table);
  copy.writeUInt32LE(0, 4);
  return copy;
}
