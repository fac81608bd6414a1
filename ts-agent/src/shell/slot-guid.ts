/** Gives a slot's partition the GUID that its root's kernel image looks for. */
import { KeelError } from '@keelos/proto/errors.ts';
import { BACKUP_BYTES, backupOffset, PRIMARY_BYTES, planSlotGuid } from '../core/slot-guid.ts';
import type { BlockDevice } from '../sys/block-device.ts';
import { asLayoutError } from './slots.ts';

/**
 * Changes the table of a whole disk. It is durable on return, and at every moment before it one of the two tables is
 * whole. The kernel goes on with the GUID that it read at boot; nothing asks for it before the next one.
 *
 * @throws KeelError E_DISK_LAYOUT when neither table can be read, or they have no such partition
 */
export async function setSlotGuid(
  disk: BlockDevice,
  change: { readonly partitionNumber: number; readonly guid: string },
): Promise<void> {
  const primary = await readTable(disk, 0, PRIMARY_BYTES);
  const backupAt = backupOffset(primary.bytes, disk.sizeBytes);
  const backup = await readTable(disk, backupAt, BACKUP_BYTES);
  const unread = primary.cause !== undefined && backup.cause !== undefined;
  if (unread) throw asLayoutError(backup.cause, 'the disk');
  for (const stage of plan({ primary: primary.bytes, backup: backup.bytes }, change)) {
    for (const { offsetBytes, bytes } of stage) await disk.writeAt(offsetBytes, bytes);
    await disk.flush();
  }
}

/** A table that cannot be read is none: the other one decides. */
async function readTable(disk: BlockDevice, offsetBytes: number, lengthBytes: number) {
  try {
    return { bytes: Buffer.from(await disk.readAt(offsetBytes, lengthBytes)) };
  } catch (cause) {
    return { bytes: Buffer.alloc(lengthBytes), cause };
  }
}

function plan(...planning: Parameters<typeof planSlotGuid>): ReturnType<typeof planSlotGuid> {
  try {
    return planSlotGuid(...planning);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new KeelError('E_DISK_LAYOUT', `Cannot set GUID of slot: ${cause.message}`, { cause });
  }
}
