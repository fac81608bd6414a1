/**
 * Reads files of a FAT32 file system, as far as an EFI system partition needs it. Every table is checked before it is
 * believed; chains and directories have a longest length.
 *
 * Microsoft FAT specification 1.03 (2000).
 */
import { type FatRecord, fatRecords, recordNamed } from './fat-directory.ts';
import { BOOT_SECTOR_BYTES, clusterOffset, type FatShape, fatShape } from './fat-shape.ts';
import { chainOf } from './fat-table.ts';

/** Reads bytes of the partition; fewer only behind its end. */
export type ReadAt = (offsetBytes: number, lengthBytes: number) => Promise<Uint8Array>;

/** A file or directory. */
export type FatEntry = Pick<FatRecord, 'name' | 'isDirectory' | 'firstCluster' | 'sizeBytes'>;

/** A directory with what is in it. */
export interface FatFolder {
  readonly clusters: readonly number[];
  readonly bytes: Buffer;
  readonly records: readonly FatRecord[];
}

/** Largest directory, in bytes. */
const DIRECTORY_BYTES_MAX = 262_144;
/** Directories of a whole file system. */
const FOLDERS_MAX = 1_024;
/** Largest piece of a file that is read at once. */
export const PIECE_BYTES_MAX = 1_048_576;

function refuse(reason: string): never {
  throw new RangeError(`Cannot read FAT file system: ${reason}`);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** An open file system: its shape, its first allocation table as it was read, and files as they are. */
export class FatVolume {
  readonly shape: FatShape;
  readonly table: Buffer;
  readonly #read: ReadAt;

  private constructor(read: ReadAt, shape: FatShape, table: Buffer) {
    this.#read = read;
    this.shape = shape;
    this.table = table;
  }

  /** Reads boot sector and allocation table. @throws RangeError when it is no FAT32, or a very large one */
  static async open(read: ReadAt): Promise<FatVolume> {
    const shape = fatShape(bufferOf(await read(0, BOOT_SECTOR_BYTES)));
    const table = bufferOf(await read(shape.tableOffset, shape.tableBytes));
    if (table.length < shape.tableBytes) refuse('it ends in its table');
    return new FatVolume(read, shape, table);
  }

  /** The same file system with another table. */
  withTable(table: Buffer): FatVolume {
    return new FatVolume(this.#read, this.shape, table);
  }

  /** A directory by its path, with "/" between names and none at the start; undefined when there is none. */
  async folder(path: string): Promise<FatFolder | undefined> {
    let folder = await this.#folderAt(this.shape.rootCluster);
    for (const name of path.split('/').filter((part) => part !== '')) {
      const record = recordNamed(folder.records, name);
      if (record === undefined || !record.isDirectory) return undefined;
      folder = await this.#folderAt(record.firstCluster);
    }
    return folder;
  }

  /** Entries of a directory by its path; undefined when there is none. */
  async list(path: string): Promise<readonly FatEntry[] | undefined> {
    return (await this.folder(path))?.records;
  }

  /**
   * A piece of a file, shorter at its end.
   *
   * @throws RangeError for a piece over 1 MiB, and when the file's clusters are not in order
   */
  async readFile(
    file: FatEntry,
    { offsetBytes, lengthBytes }: { readonly offsetBytes: number; readonly lengthBytes: number },
  ): Promise<Buffer> {
    if (lengthBytes > PIECE_BYTES_MAX) refuse(`a piece of ${lengthBytes} bytes`);
    const end = Math.min(offsetBytes + lengthBytes, file.sizeBytes);
    if (offsetBytes >= end) return Buffer.alloc(0);
    const { clusterBytes } = this.shape;
    const first = Math.floor(offsetBytes / clusterBytes);
    const last = Math.ceil(end / clusterBytes);
    const clusters = this.chain(file.firstCluster, last).slice(first);
    if (clusters.length < last - first) refuse('a file ends before its size');
    const bytes = await this.#clusters(clusters);
    const from = offsetBytes - first * clusterBytes;
    return bytes.subarray(from, from + end - offsetBytes);
  }

  /** At most `max` clusters of a chain. */
  chain(first: number, max = this.shape.clusterCount): number[] {
    return chainOf(this.table, this.shape, { first, max });
  }

  /**
   * Every cluster that a file or directory uses.
   *
   * @throws RangeError when there are too many directories
   */
  async usedClusters(): Promise<Set<number>> {
    const used = new Set<number>();
    const waiting = [this.shape.rootCluster];
    let folders = 0;
    for (let first = waiting.pop(); first !== undefined; first = waiting.pop()) {
      folders += 1;
      if (folders > FOLDERS_MAX) refuse(`more than ${FOLDERS_MAX} directories`);
      const folder = await this.#folderAt(first);
      for (const cluster of this.chain(first)) used.add(cluster);
      for (const record of folder.records) {
        // One that was met already would be walked again and again, were it its own parent.
        if (record.isDirectory && !used.has(record.firstCluster)) waiting.push(record.firstCluster);
        for (const cluster of this.chain(record.firstCluster)) used.add(cluster);
      }
    }
    return used;
  }

  async #folderAt(firstCluster: number): Promise<FatFolder> {
    const max = Math.ceil(DIRECTORY_BYTES_MAX / this.shape.clusterBytes);
    const clusters = this.chain(firstCluster, max);
    // Nothing is free only because the way to it is lost, and nothing is written behind what is not there.
    if (clusters.length === 0) refuse(`a directory in cluster ${firstCluster}`);
    const bytes = await this.#clusters(clusters);
    return { clusters, bytes, records: fatRecords(bytes) };
  }

  async #clusters(clusters: readonly number[]): Promise<Buffer> {
    const { clusterBytes } = this.shape;
    const parts: Uint8Array[] = [];
    for (let from = 0; from < clusters.length; ) {
      const first = clusters[from] ?? 0;
      let to = from + 1;
      // Clusters that lie side by side are read at once.
      while (clusters[to] === first + (to - from)) to += 1;
      const bytes = await this.#read(clusterOffset(this.shape, first), (to - from) * clusterBytes);
      if (bytes.length < (to - from) * clusterBytes) refuse('it ends in a file');
      parts.push(bytes);
      from = to;
    }
    return Buffer.concat(parts);
  }
}
