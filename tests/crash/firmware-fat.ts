/**
 * FAT32 as a firmware's driver has it: reads files, and renames one as EDK II does, which is not how KeelOS does it. The
 * old name is erased, and the new one goes to the first place that has room, perhaps in another sector; then everything
 * is written in one go. Shares no code with KeelOS.
 *
 * Microsoft FAT specification 1.03; EDK II, FatPkg/EnhancedFatDxe.
 */
import type { DeviceAccess } from './hardware.ts';

const ENTRY_BYTES = 32;
const ERASED = 0xe5;
const LONG_NAME = 0x0f;
const DIRECTORY = 0x10;
const VOLUME = 0x08;
const CLUSTERS_MAX = 1_048_576;
const UNIT_PLACES = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/** Bit of the second entry of the table that says that the volume was left in order. */
const CLEAN_SHUTDOWN = 0x08000000;

/** A file or folder. */
export interface FoundEntry {
  readonly name: string;
  readonly isDirectory: boolean;
  readonly firstCluster: number;
  readonly sizeBytes: number;
  /** Where its first and its last (the short) entry begin in the folder's bytes. */
  readonly from: number;
  readonly to: number;
  /** The checksum of its long name is that of its short one. */
  readonly isChecksumRight: boolean;
}

/** A folder with its place on the disk. */
export interface FoundFolder {
  readonly clusters: readonly number[];
  readonly bytes: Buffer;
  readonly entries: readonly FoundEntry[];
}

/** An open file system. */
export class FirmwareFat {
  readonly #device: DeviceAccess;
  readonly #at: number;
  readonly clusterBytes: number;
  readonly reservedBytes: number;
  readonly tableBytes: number;
  readonly tableCount: number;
  readonly rootCluster: number;
  readonly clusterCount: number;
  /** The first table. */
  readonly #table: Buffer;

  /** @throws Error when there is no FAT32 at `offsetBytes` of the device */
  constructor(device: DeviceAccess, offsetBytes: number) {
    this.#device = device;
    this.#at = offsetBytes;
    const boot = device.read(offsetBytes, 512);
    if (boot.readUInt16LE(510) !== 0xaa55 || boot.readUInt16LE(11) !== 512) {
      throw new Error('no file system that the firmware knows');
    }
    this.clusterBytes = boot.readUInt8(13) * 512;
    this.reservedBytes = boot.readUInt16LE(14) * 512;
    this.tableCount = boot.readUInt8(16);
    this.tableBytes = boot.readUInt32LE(36) * 512;
    this.rootCluster = boot.readUInt32LE(44);
    const dataBytes =
      boot.readUInt32LE(32) * 512 - this.reservedBytes - this.tableCount * this.tableBytes;
    this.clusterCount = Math.floor(dataBytes / this.clusterBytes);
    this.#table = this.table(0);
  }

  /** Bytes of a copy of the allocation table. */
  table(copy: number): Buffer {
    const at = this.#at + this.reservedBytes + copy * this.tableBytes;
    return this.#device.read(at, this.tableBytes);
  }

  /** What follows a cluster: 28 bits. */
  next(cluster: number): number {
    return this.#table.readUInt32LE(cluster * 4) & 0x0fffffff;
  }

  /** Clusters that the table says are in use, or bad. */
  usedClusters(): number[] {
    const { buffer, byteOffset } = this.#table;
    // Little-endian, as every machine is that this runs on; read at once, as there are many.
    const entries = new Uint32Array(buffer, byteOffset, this.clusterCount + 2);
    const used: number[] = [];
    for (let cluster = 2; cluster < entries.length; cluster += 1) {
      if (((entries[cluster] ?? 0) & 0x0fffffff) !== 0) used.push(cluster);
    }
    return used;
  }

  /** True for the number of a cluster that exists. */
  isCluster(cluster: number): boolean {
    return cluster >= 2 && cluster < this.clusterCount + 2;
  }

  /** Clusters from the first one on, to the end of the chain or to where it leaves the table or turns in a ring. */
  chain(first: number): number[] {
    const clusters: number[] = [];
    for (let at = first; this.isCluster(at) && clusters.length < CLUSTERS_MAX; at = this.next(at)) {
      if (clusters.length > this.clusterCount) break;
      clusters.push(at);
    }
    return clusters;
  }

  /** True when the chain ends with the mark for it. */
  isEnded(first: number): boolean {
    const last = this.chain(first).at(-1);
    return last !== undefined && this.next(last) >= 0x0ffffff8;
  }

  /** The folder at a path, "/" between names; undefined when there is none. */
  folder(path: string): FoundFolder | undefined {
    let folder = this.#folderAt(this.rootCluster);
    for (const name of path.split('/').filter((part) => part !== '')) {
      const next = find(folder, name);
      if (next?.isDirectory !== true) return undefined;
      folder = this.#folderAt(next.firstCluster);
    }
    return folder;
  }

  /** Folder whose first cluster is this. */
  folderOf(entry: Pick<FoundEntry, 'firstCluster'>): FoundFolder {
    return this.#folderAt(entry.firstCluster);
  }

  /** Bytes of the file at a path; undefined when there is none, or its chain is too short. */
  read(path: string): Buffer | undefined {
    const names = path.split('/').filter((part) => part !== '');
    const name = names.pop() ?? '';
    const folder = this.folder(names.join('/'));
    const file = folder === undefined ? undefined : find(folder, name);
    if (file === undefined || file.isDirectory) return undefined;
    const bytes = this.#bytes(this.chain(file.firstCluster));
    return bytes.length < file.sizeBytes ? undefined : bytes.subarray(0, file.sizeBytes);
  }

  /** Gives a file in a folder another name. */
  rename(path: string, name: string, newName: string): void {
    const folder = this.folder(path);
    const entry = folder === undefined ? undefined : find(folder, name);
    if (folder === undefined || entry === undefined) throw new Error(`no ${path}/${name}`);
    this.#setDirty(true);
    const bytes = Buffer.from(folder.bytes);
    const short = Buffer.from(bytes.subarray(entry.to, entry.to + ENTRY_BYTES));
    for (let at = entry.from; at <= entry.to; at += ENTRY_BYTES) bytes[at] = ERASED;
    const added = namedEntries(newName, short);
    const place = roomFor(bytes, added.length);
    if (place === undefined) throw new Error('the firmware does not make a folder larger here');
    added.copy(bytes, place);
    this.#writeChanged(folder, bytes);
    this.#setDirty(false);
    this.#device.flush();
  }

  /** Takes a name away and forgets the clusters, as damage does. */
  erase(path: string, name: string): void {
    const folder = this.folder(path);
    const entry = folder === undefined ? undefined : find(folder, name);
    if (folder === undefined || entry === undefined) throw new Error(`no ${path}/${name}`);
    const bytes = Buffer.from(folder.bytes);
    for (let at = entry.from; at <= entry.to; at += ENTRY_BYTES) bytes[at] = ERASED;
    this.#writeChanged(folder, bytes);
  }

  /** Puts other bytes at the beginning of a file, as damage does. */
  overwrite(path: string, name: string, bytes: Uint8Array): void {
    const folder = this.folder(path);
    const entry = folder === undefined ? undefined : find(folder, name);
    if (entry === undefined) throw new Error(`no ${path}/${name}`);
    this.#device.write(this.#offset(entry.firstCluster), bytes);
  }

  /** One write from the first sector that changed to the last. */
  #writeChanged(folder: FoundFolder, bytes: Buffer): void {
    for (const [position, cluster] of folder.clusters.entries()) {
      const from = position * this.clusterBytes;
      const now = bytes.subarray(from, from + this.clusterBytes);
      if (!now.equals(folder.bytes.subarray(from, from + this.clusterBytes))) {
        this.#device.write(this.#offset(cluster), now);
      }
    }
  }

  #setDirty(isDirty: boolean): void {
    const at = this.#at + this.reservedBytes;
    const sector = this.#device.read(at, 512);
    const entry = sector.readUInt32LE(4);
    sector.writeUInt32LE((isDirty ? entry & ~CLEAN_SHUTDOWN : entry | CLEAN_SHUTDOWN) >>> 0, 4);
    this.#device.write(at, sector);
  }

  #folderAt(first: number): FoundFolder {
    const clusters = this.chain(first);
    const bytes = this.#bytes(clusters);
    return { clusters, bytes, entries: entriesOf(bytes) };
  }

  #bytes(clusters: readonly number[]): Buffer {
    return Buffer.concat(
      clusters.map((cluster) => this.#device.read(this.#offset(cluster), this.clusterBytes)),
    );
  }

  #offset(cluster: number): number {
    const tables = this.tableCount * this.tableBytes;
    return this.#at + this.reservedBytes + tables + (cluster - 2) * this.clusterBytes;
  }
}

function find(folder: FoundFolder, name: string): FoundEntry | undefined {
  const wanted = name.toUpperCase();
  return folder.entries.find((entry) => entry.name.toUpperCase() === wanted);
}

function entriesOf(bytes: Buffer): FoundEntry[] {
  const found: FoundEntry[] = [];
  let long = { name: '', from: -1, sum: -1 };
  for (let at = 0; at < bytes.length && bytes[at] !== 0; at += ENTRY_BYTES) {
    const entry = bytes.subarray(at, at + ENTRY_BYTES);
    const attributes = entry.readUInt8(11);
    if (entry[0] === ERASED) {
      long = { name: '', from: -1, sum: -1 };
    } else if (attributes === LONG_NAME) {
      const isFirst = (entry.readUInt8(0) & 0x40) !== 0;
      const name = unitsOf(entry) + (isFirst ? '' : long.name);
      long = { name, from: isFirst ? at : long.from, sum: entry.readUInt8(13) };
    } else {
      const short = `${entry.toString('latin1', 0, 8).trimEnd()}.${entry.toString('latin1', 8, 11)}`;
      const isRight = long.from < 0 || long.sum === checksum(entry);
      const hasLong = long.from >= 0 && isRight;
      const name = hasLong ? long.name : short.trimEnd().replace(/\.$/, '');
      if ((attributes & VOLUME) === 0 && !/^\.+$/.test(name)) {
        found.push({
          name,
          isDirectory: (attributes & DIRECTORY) !== 0,
          isChecksumRight: isRight,
          firstCluster: entry.readUInt16LE(20) * 65_536 + entry.readUInt16LE(26),
          sizeBytes: entry.readUInt32LE(28),
          from: hasLong ? long.from : at,
          to: at,
        });
      }
      long = { name: '', from: -1, sum: -1 };
    }
  }
  return found;
}

function unitsOf(entry: Buffer): string {
  const units = UNIT_PLACES.map((place) => entry.readUInt16LE(place));
  const end = units.indexOf(0);
  return String.fromCharCode(...units.slice(0, end < 0 ? units.length : end));
}

function checksum(short: Uint8Array): number {
  let sum = 0;
  for (const byte of short.subarray(0, 11)) sum = ((sum << 7) + (sum >> 1) + byte) & 0xff;
  return sum;
}

/** Long entries and the short one for a name; times, cluster and size are those of `short`. */
function namedEntries(name: string, short: Buffer): Buffer {
  const entry = Buffer.from(short);
  // The firmware makes short names of a hash; any that is free does.
  const hash = [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7);
  entry.write(`${hash.toString(16).toUpperCase().padStart(6, '0').slice(-6)}~1CON`, 0, 'latin1');
  const count = Math.ceil(name.length / UNIT_PLACES.length);
  const longs = Array.from({ length: count }, (_, position) => {
    const order = count - position;
    const part = name.slice((order - 1) * UNIT_PLACES.length, order * UNIT_PLACES.length);
    const long = Buffer.alloc(ENTRY_BYTES);
    long[0] = order === count ? order | 0x40 : order;
    long[11] = LONG_NAME;
    long[13] = checksum(entry);
    for (const [index, place] of UNIT_PLACES.entries()) {
      const fill = index === part.length ? 0 : 0xffff;
      long.writeUInt16LE(index < part.length ? part.charCodeAt(index) : fill, place);
    }
    return long;
  });
  return Buffer.concat([...longs, entry]);
}

/** First place in a folder where so many bytes of entries are unused. */
function roomFor(bytes: Buffer, lengthBytes: number): number | undefined {
  let from = 0;
  for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
    const isUnused = bytes[at] === 0 || bytes[at] === ERASED;
    if (!isUnused) from = at + ENTRY_BYTES;
    else if (at + ENTRY_BYTES - from >= lengthBytes) return from;
  }
  return undefined;
}
