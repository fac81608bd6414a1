/**
 * Lets the state partition and its file system take the whole disk. Every part looks at what is, so a growth that was
 * cut short at any point is finished at the next boot.
 */
import { GPT_BACKUP_SECTORS, GPT_PRIMARY_SECTORS, SECTOR_BYTES } from '@keelos/proto/gpt.ts';
import {
  blocksToGrowTo,
  parseExt4Size,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_OFFSET_BYTES,
} from '../core/ext4-superblock.ts';
import { planGrow } from '../core/gpt-grow.ts';
import type { PartitionChoice } from '../core/state-partition.ts';
import type { Machine } from './machine.ts';

const CLASS = '/sys/class/block';

/**
 * Grows table, partition and file system as far as there is room.
 *
 * @throws KeelError E_DISK_LAYOUT, RangeError or a system error; the file system goes on in its present size.
 */
export async function growState(
  machine: Machine,
  partition: PartitionChoice,
  mountPoint: string,
): Promise<void> {
  growPartition(machine, partition);
  const device = `/dev/${partition.name}`;
  const superblock = machine.blockDevices.read(device, {
    offsetBytes: SUPERBLOCK_OFFSET_BYTES,
    lengthBytes: SUPERBLOCK_BYTES,
  });
  const size = parseExt4Size(superblock);
  if (size === undefined) throw new RangeError(`${device} has no superblock`);
  const blocks = blocksToGrowTo(size, sectors(machine, partition.name) * SECTOR_BYTES);
  if (blocks === undefined) return;
  await machine.blockDevices.growExt4(mountPoint, blocks);
  machine.log.info(
    `state partition grown to ${Math.floor((blocks * size.blockBytes) / 2 ** 20)} MiB`,
  );
}

function growPartition(machine: Machine, partition: PartitionChoice): void {
  const { blockDevices, files } = machine;
  const sectorBytes = files.readText(`${CLASS}/${partition.disk}/queue/logical_block_size`).trim();
  if (Number(sectorBytes) !== SECTOR_BYTES) {
    throw new RangeError(`${partition.disk} has sectors of ${sectorBytes} bytes`);
  }
  const disk = `/dev/${partition.disk}`;
  const diskSectors = sectors(machine, partition.disk);
  const plan = planGrow({
    diskSectors,
    primary: blockDevices.read(disk, {
      offsetBytes: 0,
      lengthBytes: GPT_PRIMARY_SECTORS * SECTOR_BYTES,
    }),
    backup: blockDevices.read(disk, {
      offsetBytes: (diskSectors - GPT_BACKUP_SECTORS) * SECTOR_BYTES,
      lengthBytes: GPT_BACKUP_SECTORS * SECTOR_BYTES,
    }),
  });
  if (plan.partitionNumber !== partition.partitionNumber) {
    throw new RangeError(
      `the table says partition ${plan.partitionNumber}, the kernel ${partition.partitionNumber}`,
    );
  }
  for (const write of plan.writes) blockDevices.write(disk, write);
  if (sectors(machine, partition.name) * SECTOR_BYTES < plan.lengthBytes) {
    blockDevices.resizePartition(disk, plan);
  }
}

function sectors(machine: Machine, name: string): number {
  return Number(machine.files.readText(`${CLASS}/${name}/size`));
}
