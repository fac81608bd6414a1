/**
 * Is this the first sector of a FAT file system? (Microsoft FAT specification, section 3)
 *
 *      11: bytes per sector | 13: sectors per cluster | 16: number of FATs | 510: 0x55 0xAA
 */

/** Bytes to read from the start of a partition. */
export const BOOT_SECTOR_BYTES = 512;

/** Why `sector` is not a FAT boot sector; undefined when it is one. */
export function bootSectorProblem(sector: Uint8Array): string | undefined {
  if (sector.length < BOOT_SECTOR_BYTES) return `only ${sector.length} bytes could be read`;
  const view = new DataView(sector.buffer, sector.byteOffset, sector.byteLength);
  if (view.getUint16(510, true) !== 0xaa55) return 'its first sector has no boot signature';
  const sectorBytes = view.getUint16(11, true);
  const clusterSectors = view.getUint8(13);
  if (![512, 1024, 2048, 4096].includes(sectorBytes))
    return `it claims ${sectorBytes}-byte sectors`;
  if (clusterSectors === 0 || (clusterSectors & (clusterSectors - 1)) !== 0) {
    return `it claims ${clusterSectors} sectors a cluster`;
  }
  const fats = view.getUint8(16);
  return fats === 1 || fats === 2 ? undefined : `it claims ${fats} allocation tables`;
}
