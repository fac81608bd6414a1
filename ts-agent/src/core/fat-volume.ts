/**
 * Reads files of a FAT32 file system, as far as an EFI system partition needs it. Every table is checked before it is
 * believed; chains and directories have a longest length.
 *
 * Microsoft FAT specification 1.03 (2000). Long names per section "FAT Long Directory Entries".
 */

/** Reads bytes of the partition; fewer only behind its end. */
export type ReadAt = (offsetBytes: number, lengthBytes: number) => Promise<Uint8Array>;

/** A file or directory. */
export interface FatEntry {
  /** The long name when there is one. */
  readonly name: string;
  readonly isDirectory: boolean;
  readonly firstCluster: number;
  /** 0 for a directory. */
  readonly sizeBytes: number;
}

/** Largest allocation table that is read: 1 Mi clusters. */
const TABLE_BYTES_MAX = 4 * 1_048_576;
/** Largest directory, in bytes. */
const DIRECTORY_BYTES_MAX = 262_144;
/** Largest piece of a file that is read at once. */
const PIECE_BYTES_MAX = 1_048_576;
const BOOT_SECTOR_BYTES = 512;
const ENTRY_BYTES = 32;
const ATTRIBUTE_VOLUME = 0x08;
const ATTRIBUTE_DIRECTORY = 0x10;
const ATTRIBUTE_LONG_NAME = 0x0f;
const DELETED = 0xe5;
/** Places of the 13 UTF-16 units in a long entry. */
const UNIT_PLACES = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const FIRST_CLUSTER = 2;

function refuse(reason: string): never {
  throw new RangeError(`Cannot read FAT file system: ${reason}`);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** An open file system. */
export class FatVolume {
  readonly #read: ReadAt;
  readonly #table: Buffer;
  readonly #clusterBytes: number;
  readonly #dataOffset: number;
  readonly #root: FatEntry;

  private constructor(
    read: ReadAt,
    shape: { table: Buffer; clusterBytes: number; dataOffset: number; rootCluster: number },
  ) {
    this.#read = read;
    this.#table = shape.table;
    this.#clusterBytes = shape.clusterBytes;
    this.#dataOffset = shape.dataOffset;
    const firstCluster = shape.rootCluster;
    this.#root = { name: '', isDirectory: true, firstCluster, sizeBytes: 0 };
  }

  /** Reads boot sector and allocation table. @throws RangeError when it is no FAT32, or a very large one */
  static async open(read: ReadAt): Promise<FatVolume> {
    const sector = bufferOf(await read(0, BOOT_SECTOR_BYTES));
    if (sector.length < BOOT_SECTOR_BYTES || sector.readUInt16LE(510) !== 0xaa55) {
      refuse('no boot sector');
    }
    const sectorBytes = sector.readUInt16LE(11);
    const clusterBytes = sectorBytes * sector.readUInt8(13);
    const reservedSectors = sector.readUInt16LE(14);
    const tableBytes = sector.readUInt32LE(36) * sectorBytes;
    if (![512, 1024, 2048, 4096].includes(sectorBytes) || clusterBytes === 0) {
      refuse(`sectors of ${sectorBytes} bytes, clusters of ${clusterBytes}`);
    }
    if (tableBytes === 0 || tableBytes > TABLE_BYTES_MAX) refuse(`a table of ${tableBytes} bytes`);
    const tableOffset = reservedSectors * sectorBytes;
    const table = bufferOf(await read(tableOffset, tableBytes));
    if (table.length < tableBytes) refuse('it ends in its table');
    return new FatVolume(read, {
      table,
      clusterBytes,
      dataOffset: tableOffset + sector.readUInt8(16) * tableBytes,
      rootCluster: sector.readUInt32LE(44) & 0x0fffffff,
    });
  }

  /** Entries of a directory by its path, with "/" between names and none at the start; undefined when there is none. */
  async list(path: string): Promise<readonly FatEntry[] | undefined> {
    let directory: FatEntry | undefined = this.#root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      const entries: readonly FatEntry[] = await this.#entries(directory);
      const wanted = name.toUpperCase();
      directory = entries.find((entry) => entry.isDirectory && entry.name.toUpperCase() === wanted);
      if (directory === undefined) return undefined;
    }
    return this.#entries(directory);
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
    const first = Math.floor(offsetBytes / this.#clusterBytes);
    const last = Math.ceil(end / this.#clusterBytes);
    const clusters = this.#chain(file.firstCluster, last).slice(first);
    if (clusters.length < last - first) refuse('a file ends before its size');
    const parts: Uint8Array[] = [];
    for (const cluster of clusters) parts.push(await this.#cluster(cluster));
    const from = offsetBytes - first * this.#clusterBytes;
    return Buffer.concat(parts).subarray(from, from + end - offsetBytes);
  }

  /** At most `max` clusters of a chain: the bound also ends a chain that is a ring. */
  #chain(firstCluster: number, max: number): number[] {
    const clusters: number[] = [];
    const count = this.#table.length / 4;
    for (let cluster = firstCluster; clusters.length < max; ) {
      if (cluster < FIRST_CLUSTER || cluster >= count) break;
      clusters.push(cluster);
      cluster = this.#table.readUInt32LE(cluster * 4) & 0x0fffffff;
    }
    return clusters;
  }

  #cluster(cluster: number): Promise<Uint8Array> {
    const offset = this.#dataOffset + (cluster - FIRST_CLUSTER) * this.#clusterBytes;
    return this.#read(offset, this.#clusterBytes);
  }

  async #entries(directory: FatEntry): Promise<readonly FatEntry[]> {
    const max = Math.ceil(DIRECTORY_BYTES_MAX / this.#clusterBytes);
    const parts: Uint8Array[] = [];
    for (const cluster of this.#chain(directory.firstCluster, max)) {
      parts.push(await this.#cluster(cluster));
    }
    return fatEntries(Buffer.concat(parts));
  }
}

/** Entries of a directory's bytes, without volume label, "." and "..". */
export function fatEntries(bytes: Buffer): FatEntry[] {
  const found: FatEntry[] = [];
  let longName = '';
  for (let at = 0; at + ENTRY_BYTES <= bytes.length && bytes[at] !== 0; at += ENTRY_BYTES) {
    const entry = bytes.subarray(at, at + ENTRY_BYTES);
    const attributes = entry.readUInt8(11);
    if (entry[0] === DELETED) {
      longName = '';
    } else if (attributes === ATTRIBUTE_LONG_NAME) {
      // They stand last part first.
      longName = `${longPart(entry)}${longName}`;
    } else {
      const name = longName === '' ? shortName(entry) : longName;
      longName = '';
      if ((attributes & ATTRIBUTE_VOLUME) !== 0 || /^\.\.?$/.test(name)) continue;
      const isDirectory = (attributes & ATTRIBUTE_DIRECTORY) !== 0;
      const firstCluster = (entry.readUInt16LE(20) << 16) | entry.readUInt16LE(26);
      const sizeBytes = isDirectory ? 0 : entry.readUInt32LE(28);
      found.push({ name, isDirectory, firstCluster: firstCluster >>> 0, sizeBytes });
    }
  }
  return found;
}

function longPart(entry: Buffer): string {
  const units = UNIT_PLACES.map((place) => entry.readUInt16LE(place));
  const end = units.indexOf(0);
  return String.fromCharCode(...(end < 0 ? units : units.slice(0, end)));
}

function shortName(entry: Buffer): string {
  const base = entry.toString('latin1', 0, 8).trimEnd();
  const extension = entry.toString('latin1', 8, 11).trimEnd();
  return extension === '' ? base : `${base}.${extension}`;
}
