/**
 * Where things are in a FAT32 file system.
 *
 *     reserved sectors (boot sector, FSInfo, copies) | table | table | clusters
 *
 * Microsoft FAT specification 1.03 (2000), sections "Boot Sector and BPB" and "FAT32 FSInfo Sector Structure".
 */

/** Bytes of the boot sector that are read. */
export const BOOT_SECTOR_BYTES = 512;
/** Largest allocation table that is read: 1 Mi clusters. */
export const TABLE_BYTES_MAX = 4 * 1_048_576;
/** Number of the first cluster. */
export const FIRST_CLUSTER = 2;
const TABLE_ENTRY_BYTES = 4;
const TABLES_MAX = 2;

/** Places and sizes, in bytes. */
export interface FatShape {
  readonly sectorBytes: number;
  readonly clusterBytes: number;
  /** Start of the first table, size of one, and how many there are. */
  readonly tableOffset: number;
  readonly tableBytes: number;
  readonly tableCount: number;
  /** Where cluster {@link FIRST_CLUSTER} begins. */
  readonly dataOffset: number;
  readonly rootCluster: number;
  /** Clusters that both the table and the file system have room for. Their numbers begin at {@link FIRST_CLUSTER}. */
  readonly clusterCount: number;
  /** The FSInfo sector; 0: there is none. */
  readonly infoOffset: number;
}

function refuse(reason: string): never {
  throw new RangeError(`Cannot read FAT file system: ${reason}`);
}

function isPowerOfTwo(count: number): boolean {
  return count > 0 && (count & (count - 1)) === 0;
}

/** Reads the boot sector. @throws RangeError when it is not one of FAT32, or of a very large one */
export function fatShape(sector: Buffer): FatShape {
  if (sector.length < BOOT_SECTOR_BYTES || sector.readUInt16LE(510) !== 0xaa55) {
    refuse('no boot sector');
  }
  const sectorBytes = sector.readUInt16LE(11);
  const clusterSectors = sector.readUInt8(13);
  const clusterBytes = sectorBytes * clusterSectors;
  const reservedSectors = sector.readUInt16LE(14);
  const tableBytes = sector.readUInt32LE(36) * sectorBytes;
  if (![512, 1024, 2048, 4096].includes(sectorBytes) || !isPowerOfTwo(clusterSectors)) {
    refuse(`sectors of ${sectorBytes} bytes, clusters of ${clusterBytes}`);
  }
  if (tableBytes === 0 || tableBytes > TABLE_BYTES_MAX) refuse(`a table of ${tableBytes} bytes`);
  const tableCount = sector.readUInt8(16);
  if (tableCount < 1 || tableCount > TABLES_MAX) refuse(`${tableCount} allocation tables`);
  const tableOffset = reservedSectors * sectorBytes;
  const dataOffset = tableOffset + tableCount * tableBytes;
  const totalBytes = sector.readUInt32LE(32) * sectorBytes;
  const clusterCount = Math.min(
    Math.floor((totalBytes - dataOffset) / clusterBytes),
    tableBytes / TABLE_ENTRY_BYTES - FIRST_CLUSTER,
  );
  if (clusterCount < 1) refuse(`${totalBytes} bytes in all`);
  const infoSector = sector.readUInt16LE(48);
  const hasInfo = infoSector > 0 && infoSector < reservedSectors;
  return {
    sectorBytes,
    clusterBytes,
    tableOffset,
    tableBytes,
    tableCount,
    dataOffset,
    clusterCount,
    rootCluster: sector.readUInt32LE(44) & 0x0fffffff,
    infoOffset: hasInfo ? infoSector * sectorBytes : 0,
  };
}

/** Where a cluster begins. */
export function clusterOffset(shape: FatShape, cluster: number): number {
  return shape.dataOffset + (cluster - FIRST_CLUSTER) * shape.clusterBytes;
}

/** True for the number of a cluster that the file system has. */
export function isCluster(shape: FatShape, cluster: number): boolean {
  return cluster >= FIRST_CLUSTER && cluster < FIRST_CLUSTER + shape.clusterCount;
}
