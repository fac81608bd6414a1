/**
 * Which writes let the state partition take the room of a larger disk, so that a power cut between or inside any two
 * of them leaves a table that firmware and kernel accept?
 *
 * 1. The backup table goes to the new end of the disk and is flushed. The primary table still describes the old disk.
 * 2. The primary table follows: only the pages of 4 KiB that differ. MBR, header and the first entries share the first
 *    page, so this is a single page write on every disk whose last partition is among the first 24. Should it be torn
 *    nevertheless, the backup at the end of the disk is valid and the same.
 */

import {
  decodeBackupGpt,
  decodeGpt,
  encodeGpt,
  GPT_BACKUP_SECTORS,
  GPT_PRIMARY_SECTORS,
  type Gpt,
  growLastPartition,
  partitionBytes,
  SECTOR_BYTES,
} from '@keelos/proto/gpt.ts';
import { PARTITION_NAMES, STATE_PARTITION_TYPE } from '@keelos/proto/node-paths.ts';

/** A write to the whole disk; the disk is flushed after each. */
export interface DiskWrite {
  readonly offsetBytes: number;
  readonly bytes: Buffer;
}

/** What to write, and what the partition then is. */
export interface GrowPlan {
  /** In this order. Empty when the table is as it should be. */
  readonly writes: readonly DiskWrite[];
  readonly partitionNumber: number;
  readonly startBytes: number;
  readonly lengthBytes: number;
}

/** First and last sectors of a disk as they are. */
export interface TableBytes {
  /** {@link GPT_PRIMARY_SECTORS} sectors from the start. */
  readonly primary: Buffer;
  /** {@link GPT_BACKUP_SECTORS} sectors from the end. */
  readonly backup: Buffer;
  readonly diskSectors: number;
}

const PAGE_BYTES = 4096;

/**
 * Plans the growth.
 *
 * @throws KeelError E_DISK_LAYOUT when neither table can be read, or the last partition is not the state partition.
 */
export function planGrow(disk: TableBytes): GrowPlan {
  const gpt = readEitherTable(disk);
  const grown = growLastPartition(gpt, disk.diskSectors);
  const state = grown.partitions.find(
    (one) => one.typeGuid === STATE_PARTITION_TYPE && one.name === PARTITION_NAMES.state,
  );
  const last = grown.partitions.reduce((a, b) => (b.lastLba > a.lastLba ? b : a));
  if (state === undefined || state !== last) {
    throw new RangeError(
      `the last partition is ${last.name} of type ${last.typeGuid}, not the state partition`,
    );
  }
  const encoded = encodeGpt(grown);
  const backup = { offsetBytes: encoded.backupLba * SECTOR_BYTES, bytes: encoded.backup };
  const writes = [
    ...(disk.backup.equals(encoded.backup) ? [] : [backup]),
    ...changedPages(disk.primary, encoded.primary),
  ];
  return {
    writes,
    partitionNumber: state.number,
    startBytes: state.firstLba * SECTOR_BYTES,
    lengthBytes: partitionBytes(state),
  };
}

function readEitherTable(disk: TableBytes): Gpt {
  try {
    return decodeGpt(disk.primary.subarray(0, GPT_PRIMARY_SECTORS * SECTOR_BYTES));
  } catch {
    // The primary is torn or damaged: the copy at the end decides, and its error is the one to report.
    return decodeBackupGpt(disk.backup.subarray(-GPT_BACKUP_SECTORS * SECTOR_BYTES));
  }
}

function changedPages(before: Buffer, after: Buffer): DiskWrite[] {
  const writes: DiskWrite[] = [];
  for (let offsetBytes = 0; offsetBytes < after.length; offsetBytes += PAGE_BYTES) {
    const bytes = after.subarray(offsetBytes, offsetBytes + PAGE_BYTES);
    const old = before.subarray(offsetBytes, offsetBytes + bytes.length);
    if (!old.equals(bytes)) writes.push({ offsetBytes, bytes });
  }
  return writes;
}
