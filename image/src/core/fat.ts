/**
 * Writes a FAT32 file system with given files into nothing: the result is a list of byte ranges, everything between
 * them is zero. Equal input gives equal bytes.
 *
 *     reserved sectors (boot sector, FSInfo, copies) | FAT | FAT | clusters: root directory, directories, files
 *
 * Microsoft FAT specification 1.03 (2000). Long names per section "FAT Long Directory Entries".
 */
import { KeelError } from '@keelos/proto/errors.ts';
import { encodeName, takenShortNames } from '@keelos/proto/fat-name.ts';
import type { Extent } from './extent.ts';

const SECTOR_BYTES = 512;
const RESERVED_SECTORS = 32;
const FAT_COUNT = 2;
const FAT_ENTRY_BYTES = 4;
const ROOT_CLUSTER = 2;
const BACKUP_BOOT_SECTOR = 6;
const CLUSTERS_MIN = 65_525;
const CLUSTERS_MAX = 0x0ffffff5;
const END_OF_CHAIN = 0x0fffffff;
const MEDIA_FIXED = 0xf8;
const ATTRIBUTE_VOLUME = 0x08;
const ATTRIBUTE_DIRECTORY = 0x10;
const ATTRIBUTE_ARCHIVE = 0x20;
const ENTRY_BYTES = 32;

/** A file to put in. Directories on its way are made. */
export interface FatFile {
  /** With "/" between names, none at the start. */
  readonly path: string;
  readonly data: Uint8Array;
}

/** What to make. */
export interface FatOptions {
  readonly sizeBytes: number;
  /** At most 11 characters, upper case. */
  readonly label: string;
  /** 32-bit serial number. */
  readonly volumeId: number;
  readonly clusterBytes: number;
  /** Sectors in front of the file system on its disk. */
  readonly hiddenSectors: number;
  /** Unix time for every entry, in seconds, from 1980 on. */
  readonly timeSeconds: number;
  readonly files: readonly FatFile[];
}

interface Node {
  readonly name: string;
  /** Absent for a file. */
  readonly children?: Map<string, Node>;
  readonly data?: Uint8Array;
  firstCluster: number;
  clusterCount: number;
}

interface Geometry {
  readonly totalSectors: number;
  readonly sectorsPerCluster: number;
  readonly fatSectors: number;
  readonly clusterCount: number;
  readonly dataOffset: number;
}

function geometry(options: FatOptions): Geometry {
  const sectorsPerCluster = options.clusterBytes / SECTOR_BYTES;
  const totalSectors = options.sizeBytes / SECTOR_BYTES;
  if (![1, 2, 4, 8, 16, 32, 64].includes(sectorsPerCluster)) {
    throw new RangeError(`clusters of ${options.clusterBytes} bytes`);
  }
  if (!Number.isInteger(totalSectors) || totalSectors > 0xffffffff) {
    throw new RangeError(`a FAT file system of ${options.sizeBytes} bytes`);
  }
  // The table covers the clusters that are left beside the table itself: the smallest size that is enough.
  const perFatSector = SECTOR_BYTES / FAT_ENTRY_BYTES;
  const rest = totalSectors - RESERVED_SECTORS;
  const fatSectors = Math.ceil(
    (rest / sectorsPerCluster + 2) / (perFatSector + FAT_COUNT / sectorsPerCluster),
  );
  const dataSector = RESERVED_SECTORS + FAT_COUNT * fatSectors;
  const clusterCount = Math.floor((totalSectors - dataSector) / sectorsPerCluster);
  if (clusterCount < CLUSTERS_MIN || clusterCount > CLUSTERS_MAX) {
    throw new RangeError(`${clusterCount} clusters, FAT32 has ${CLUSTERS_MIN} to ${CLUSTERS_MAX}`);
  }
  const dataOffset = dataSector * SECTOR_BYTES;
  return { totalSectors, sectorsPerCluster, fatSectors, clusterCount, dataOffset };
}

function tree(files: readonly FatFile[]): Node {
  const root: Node = { name: '', children: new Map(), firstCluster: 0, clusterCount: 0 };
  for (const { path, data } of files) {
    const names = path.split('/');
    const last = names.pop() ?? '';
    let folder = root;
    for (const name of names) {
      let next = folder.children?.get(name.toUpperCase());
      next ??= { name, children: new Map(), firstCluster: 0, clusterCount: 0 };
      if (next.children === undefined) throw new TypeError(`${path}: ${name} is a file`);
      folder.children?.set(name.toUpperCase(), next);
      folder = next;
    }
    if (last === '' || folder.children?.has(last.toUpperCase())) {
      throw new TypeError(`${path} is there twice or has no name`);
    }
    folder.children?.set(last.toUpperCase(), {
      name: last,
      data,
      firstCluster: 0,
      clusterCount: 0,
    });
  }
  return root;
}

/** DOS date and time, UTC: two-second steps since 1980. */
export function dosTime(timeSeconds: number): { date: number; time: number } {
  const at = new Date(timeSeconds * 1000);
  const year = at.getUTCFullYear();
  if (!(year >= 1980 && year <= 2107)) throw new RangeError(`year ${year}`);
  return {
    date: ((year - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate(),
    time: (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1),
  };
}

function shortEntry(
  shortName: Buffer,
  attributes: number,
  fields: { cluster: number; sizeBytes: number; timeSeconds: number },
): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES);
  const { date, time } = dosTime(fields.timeSeconds);
  shortName.copy(entry, 0);
  entry[11] = attributes;
  entry.writeUInt16LE(time, 14);
  entry.writeUInt16LE(date, 16);
  entry.writeUInt16LE(date, 18);
  entry.writeUInt16LE(fields.cluster >>> 16, 20);
  entry.writeUInt16LE(time, 22);
  entry.writeUInt16LE(date, 24);
  entry.writeUInt16LE(fields.cluster & 0xffff, 26);
  entry.writeUInt32LE(fields.sizeBytes, 28);
  return entry;
}

function padName(text: string): Buffer {
  return Buffer.from(text.padEnd(11), 'latin1');
}

function directoryBytes(folder: Node, parent: Node | undefined, options: FatOptions): Buffer {
  const { timeSeconds } = options;
  const parts: Buffer[] = [];
  if (parent === undefined) {
    const volume = { cluster: 0, sizeBytes: 0, timeSeconds };
    parts.push(shortEntry(padName(options.label), ATTRIBUTE_VOLUME, volume));
  } else {
    // ".." of a directory in the root names cluster 0.
    const up = parent.firstCluster === ROOT_CLUSTER ? 0 : parent.firstCluster;
    for (const [name, cluster] of [
      ['.', folder.firstCluster],
      ['..', up],
    ] as const) {
      const fields = { cluster, sizeBytes: 0, timeSeconds };
      parts.push(shortEntry(padName(name), ATTRIBUTE_DIRECTORY, fields));
    }
  }
  const taken = takenShortNames();
  for (const child of sortedChildren(folder)) {
    const { shortName, longEntries } = encodeName(child.name, taken);
    const attributes = child.children === undefined ? ATTRIBUTE_ARCHIVE : ATTRIBUTE_DIRECTORY;
    const sizeBytes = child.data?.length ?? 0;
    const fields = { cluster: child.firstCluster, sizeBytes, timeSeconds };
    parts.push(longEntries, shortEntry(shortName, attributes, fields));
  }
  return Buffer.concat(parts);
}

function sortedChildren(folder: Node): Node[] {
  const entries = [...(folder.children ?? [])];
  return entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, child]) => child);
}

/** Every node with its parent, directories before what is in them. */
function walk(node: Node, parent?: Node): [Node, Node | undefined][] {
  return [[node, parent], ...sortedChildren(node).flatMap((child) => walk(child, node))];
}

function allocate(nodes: readonly Node[], options: FatOptions, clusterCount: number): number {
  let next = ROOT_CLUSTER;
  for (const node of nodes) {
    const bytes =
      node.children === undefined
        ? (node.data?.length ?? 0)
        : // The size of a directory does not depend on where anything is.
          Math.max(1, directoryBytes(node, node === nodes[0] ? undefined : node, options).length);
    node.clusterCount = Math.ceil(bytes / options.clusterBytes);
    node.firstCluster = node.clusterCount === 0 ? 0 : next;
    next += node.clusterCount;
  }
  if (next - ROOT_CLUSTER > clusterCount) {
    throw new KeelError(
      'E_IMAGE_INVALID',
      `Cannot make FAT file system: ${next - ROOT_CLUSTER} clusters needed, ${clusterCount} there`,
    );
  }
  return next;
}

function allocationTable(nodes: readonly Node[], nextCluster: number): Buffer {
  const table = Buffer.alloc(nextCluster * FAT_ENTRY_BYTES);
  table.writeUInt32LE(0x0fffff00 | MEDIA_FIXED, 0);
  table.writeUInt32LE(END_OF_CHAIN, 4);
  for (const { firstCluster, clusterCount } of nodes) {
    for (let position = 0; position < clusterCount; position += 1) {
      const cluster = firstCluster + position;
      const isLast = position === clusterCount - 1;
      table.writeUInt32LE(isLast ? END_OF_CHAIN : cluster + 1, cluster * FAT_ENTRY_BYTES);
    }
  }
  return table;
}

function bootSector(options: FatOptions, shape: Geometry): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  sector.set([0xeb, 0x58, 0x90]);
  sector.write('KEELOS  ', 3, 'latin1');
  sector.writeUInt16LE(SECTOR_BYTES, 11);
  sector[13] = shape.sectorsPerCluster;
  sector.writeUInt16LE(RESERVED_SECTORS, 14);
  sector[16] = FAT_COUNT;
  sector[21] = MEDIA_FIXED;
  sector.writeUInt16LE(63, 24);
  sector.writeUInt16LE(255, 26);
  sector.writeUInt32LE(options.hiddenSectors, 28);
  sector.writeUInt32LE(shape.totalSectors, 32);
  sector.writeUInt32LE(shape.fatSectors, 36);
  sector.writeUInt32LE(ROOT_CLUSTER, 44);
  sector.writeUInt16LE(1, 48);
  sector.writeUInt16LE(BACKUP_BOOT_SECTOR, 50);
  sector[64] = 0x80;
  sector[66] = 0x29;
  sector.writeUInt32LE(options.volumeId >>> 0, 67);
  padName(options.label).copy(sector, 71);
  sector.write('FAT32   ', 82, 'latin1');
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

function infoSector(freeClusters: number, nextCluster: number): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  sector.writeUInt32LE(0x41615252, 0);
  sector.writeUInt32LE(0x61417272, 484);
  sector.writeUInt32LE(freeClusters, 488);
  sector.writeUInt32LE(nextCluster, 492);
  sector.writeUInt32LE(0xaa550000, 508);
  return sector;
}

/**
 * Byte ranges of a FAT32 file system that holds `files`.
 *
 * @throws RangeError when size, cluster size or time are outside what FAT32 has.
 * @throws TypeError when two files have one name, or a name cannot be written.
 * @throws KeelError E_IMAGE_INVALID when the files do not fit.
 */
export function buildFat32(options: FatOptions): Extent[] {
  const shape = geometry(options);
  const walked = walk(tree(options.files));
  const nodes = walked.map(([node]) => node);
  const nextCluster = allocate(nodes, options, shape.clusterCount);
  const table = allocationTable(nodes, nextCluster);
  const boot = bootSector(options, shape);
  const info = infoSector(shape.clusterCount - (nextCluster - ROOT_CLUSTER), nextCluster);
  const extents: Extent[] = [];
  for (const start of [0, BACKUP_BOOT_SECTOR]) {
    extents.push({ offset: start * SECTOR_BYTES, data: boot });
    extents.push({ offset: (start + 1) * SECTOR_BYTES, data: info });
  }
  for (let copy = 0; copy < FAT_COUNT; copy += 1) {
    const sector = RESERVED_SECTORS + copy * shape.fatSectors;
    extents.push({ offset: sector * SECTOR_BYTES, data: table });
  }
  for (const [node, parent] of walked) {
    if (node.clusterCount === 0) continue;
    const offset = shape.dataOffset + (node.firstCluster - ROOT_CLUSTER) * options.clusterBytes;
    const data = node.data ?? directoryBytes(node, parent, options);
    extents.push({ offset, data });
  }
  return extents.sort((a, b) => a.offset - b.offset);
}
