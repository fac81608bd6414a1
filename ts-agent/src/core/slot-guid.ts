/**
 * Which writes give a slot's partition another GUID, so that a power cut between or inside any two of them leaves a valid
 * table? The backup table first, then the primary one, each flushed: the other is whole meanwhile. A primary table that is
 * damaged already is made whole from the backup before the backup is touched.
 */
import {
  decodeBackupGpt,
  decodeGpt,
  encodeGpt,
  GPT_BACKUP_SECTORS,
  GPT_PRIMARY_SECTORS,
  type Gpt,
  SECTOR_BYTES,
} from '@keelos/proto/gpt.ts';
import { changedSectors, type SectorWrite } from './fat-writes.ts';

/** Bytes at the start of a disk that hold its primary table. */
export const PRIMARY_BYTES = GPT_PRIMARY_SECTORS * SECTOR_BYTES;
/** Bytes at its end that hold the backup. */
export const BACKUP_BYTES = GPT_BACKUP_SECTORS * SECTOR_BYTES;

/** Where the backup table of a disk begins: where the primary one says, else at the end. */
export function backupOffset(primary: Buffer, diskBytes: number): number {
  try {
    return (decodeGpt(primary).diskSectors - GPT_BACKUP_SECTORS) * SECTOR_BYTES;
  } catch {
    // It is damaged: nothing but the size of the disk tells where the other one is.
    return diskBytes - BACKUP_BYTES;
  }
}

/** Both tables as they are. */
export interface DiskTables {
  readonly primary: Buffer;
  readonly backup: Buffer;
}

/**
 * Plans the change: stages, the disk is flushed after each. Empty when all is as wanted.
 *
 * @throws KeelError E_DISK_LAYOUT when neither table can be read
 * @throws RangeError when there is no such partition, or another one has the GUID
 */
export function planSlotGuid(
  tables: DiskTables,
  { partitionNumber, guid }: { readonly partitionNumber: number; readonly guid: string },
): SectorWrite[][] {
  const { gpt, isPrimaryWhole } = eitherTable(tables);
  if (!gpt.partitions.some(({ number }) => number === partitionNumber)) {
    throw new RangeError(`no partition ${partitionNumber}`);
  }
  const before = encodeGpt(gpt);
  const after = encodeGpt({
    ...gpt,
    partitions: gpt.partitions.map((one) =>
      one.number === partitionNumber ? { ...one, guid } : one,
    ),
  });
  const backupAt = after.backupLba * SECTOR_BYTES;
  const whole = isPrimaryWhole ? tables.primary : before.primary;
  return [
    changedSectors(tables.primary, whole, (at) => at),
    changedSectors(tables.backup, after.backup, (at) => backupAt + at),
    changedSectors(whole, keepingBootCode(whole, after.primary), (at) => at),
  ].filter((writes) => writes.length > 0);
}

function eitherTable({ primary, backup }: DiskTables): { gpt: Gpt; isPrimaryWhole: boolean } {
  try {
    return { gpt: decodeGpt(primary), isPrimaryWhole: true };
  } catch {
    // The backup decides, and its error is the one to report.
    return { gpt: decodeBackupGpt(backup), isPrimaryWhole: false };
  }
}

/** The first sector is nobody's business here. */
function keepingBootCode(before: Buffer, after: Buffer): Buffer {
  return Buffer.concat([before.subarray(0, SECTOR_BYTES), after.subarray(SECTOR_BYTES)]);
}
