/** Small disks with an EFI system partition and nothing else: for tests of firmware and boot loader alone. */
import { readFile } from 'node:fs/promises';
import { buildFat32, type FatFile } from '@keelos/image/core/fat.ts';
import { writeSparse } from '@keelos/image/sys/sparse-file.ts';
import { encodeGpt, SECTOR_BYTES } from '@keelos/proto/gpt.ts';
import type { OptionPartition } from '@keelos/ts-agent/core/load-option.ts';

const MIB = 1024 ** 2;
const ESP_BYTES = 64 * MIB;
const DISK_BYTES = 80 * MIB;
const ESP_TYPE = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';

/** The partition of {@link makeEspDisk}, as boot options name it. */
export const ESP_OF_DISK: OptionPartition = {
  number: 1,
  firstLba: 2048,
  sectors: ESP_BYTES / SECTOR_BYTES,
  guid: 'e5e5e5e5-e5e5-4e5e-8e5e-e5e5e5e5e5e5',
};
const OFFSET_BYTES = ESP_OF_DISK.firstLba * SECTOR_BYTES;

/** Writes a raw disk image. */
export async function makeEspDisk(path: string, files: readonly FatFile[]): Promise<void> {
  const { number, firstLba, sectors, guid } = ESP_OF_DISK;
  const esp = buildFat32({
    sizeBytes: ESP_BYTES,
    label: 'ESP',
    volumeId: 1,
    clusterBytes: 512,
    hiddenSectors: firstLba,
    timeSeconds: 1_700_000_000,
    files,
  });
  const lastLba = firstLba + sectors - 1;
  const table = encodeGpt({
    diskGuid: 'd15cd15c-d15c-4d15-8d15-d15cd15cd15c',
    diskSectors: DISK_BYTES / SECTOR_BYTES,
    partitions: [
      { number, typeGuid: ESP_TYPE, guid, firstLba, lastLba, attributes: 0n, name: 'esp' },
    ],
  });
  await writeSparse(path, {
    sizeBytes: DISK_BYTES,
    extents: [
      { offset: 0, data: table.primary },
      ...esp.map(({ offset, data }) => ({ offset: offset + OFFSET_BYTES, data })),
      { offset: table.backupLba * SECTOR_BYTES, data: table.backup },
    ],
  });
}

/** Bytes of the partition. */
export async function espOfDisk(path: string): Promise<Buffer> {
  return (await readFile(path)).subarray(OFFSET_BYTES, OFFSET_BYTES + ESP_BYTES);
}
