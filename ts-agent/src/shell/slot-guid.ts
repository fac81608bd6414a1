/** Gives a slot's partition the GUID that its root's kernel image looks for. */
import { KeelError } from '@keelos/proto/errors.ts';
import { BACKUP_BYTES, backupOffset, PRIMARY_BYTES, planSlotGuid } from '../core/slot-guid.ts';
import type { BlockDevice } from '../sys/block-device.ts';

/**
 * Changes the table of a whole disk. It is durable on return, and at every moment before it one of the two tables is
 * whole. The kernel goes on with the GUID that it read at boot; nothing asks for it before the next one.
 *
 * @throws KeelError E_DISK_LAYOUT when the table is damaged, or has no such partition
 */
export async function setSlotGuid(
  disk: BlockDevice,
  change: { readonly partitionNumber: number; readonly guid: string },
): Promise<void> {
  const primary = Buffer.from(await disk.readAt(0, PRIMARY_BYTES));
  const backupAt = backupOffset(primary, disk.sizeBytes);
  const backup = Buffer.from(await disk.readAt(backupAt, BACKUP_BYTES));
  for (const stage of plan({ primary, backup }, change)) {
    for (const { offsetBytes, bytes } of stage) await disk.writeAt(offsetBytes, bytes);
    await disk.flush();
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
