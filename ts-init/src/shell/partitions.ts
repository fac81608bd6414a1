/**
 * The partitions that the kernel knows, as core/state-partition.ts takes them.
 */
import type { PartitionFacts } from '../core/state-partition.ts';
import type { Machine } from './machine.ts';

const CLASS = '/sys/class/block';

/** Every partition of every disk. */
export function listPartitions(machine: Machine): PartitionFacts[] {
  const { files } = machine;
  return files
    .list(CLASS)
    .filter((name) => files.exists(`${CLASS}/${name}/partition`))
    .map((name) => ({
      name,
      disk: diskOf(machine, name),
      uevent: files.readText(`${CLASS}/${name}/uevent`),
    }));
}

/** Disk below the verity device that the root file system is on. */
export function rootDiskName(machine: Machine): string | undefined {
  const [slave] = machine.files.list(`${CLASS}/dm-0/slaves`);
  return slave === undefined ? undefined : diskOf(machine, slave);
}

/** /sys/class/block/vda2 points to …/block/vda/vda2. */
function diskOf(machine: Machine, partition: string): string {
  return machine.files.readLink(`${CLASS}/${partition}`).split('/').at(-2) ?? '';
}
