/**
 * Finds and mounts the state partition; the node goes on whatever it finds.
 */
import type { BootReport } from '@keelos/proto/init-control.ts';
import { PARTITION_NAMES } from '@keelos/proto/node-paths.ts';
import { mountFlagBits } from '../core/boot-plan.ts';
import {
  BACKUP_OFFSETS_BYTES,
  isSuperblockDamaged,
  restoreSuperblock,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_OFFSET_BYTES,
} from '../core/ext4-superblock.ts';
import {
  chooseStatePartition,
  type MountAttempt,
  type PartitionChoice,
  READ_ONLY,
  READ_WRITE,
} from '../core/state-partition.ts';
import { type Machine, reasonOf } from './machine.ts';
import { listPartitions, rootDiskName } from './partitions.ts';

/** Where /var is. */
export interface MountedState {
  readonly report: BootReport['state'];
  /** The partition, when /var is on one. */
  readonly partition: PartitionChoice | undefined;
}

const MOUNT_POINT = '/var';
const MOUNTS = '/proc/self/mounts';
const WAIT_MS = 3_000;
const POLL_MS = 50;
const REASONS_MAX = 4;
const MEMORY_OPTIONS = 'mode=0755,size=25%';

/** Mounts /var. @throws SystemCallError only when not even memory can be mounted. */
export async function mountState(machine: Machine): Promise<MountedState> {
  const choice = await findPartition(machine);
  const reasons: string[] = [];
  if (choice === undefined) {
    reasons.push(`There is no partition named ${PARTITION_NAMES.state}`);
  } else {
    const device = `/dev/${choice.name}`;
    const mode = mountDevice(machine, device, reasons);
    if (mode !== undefined) {
      const problem = [choice.problem, ...reasons].filter((text) => text !== '').join('; ');
      return { report: { mode, device, problem }, partition: choice };
    }
  }
  machine.syscalls.mount({
    source: 'tmpfs',
    target: MOUNT_POINT,
    type: 'tmpfs',
    flagBits: mountFlagBits(['nosuid', 'nodev', 'noexec']),
    data: MEMORY_OPTIONS,
  });
  const report = { mode: 'memory', device: '', problem: reasons.join('; ') } as const;
  return { report, partition: undefined };
}

function mountDevice(
  machine: Machine,
  device: string,
  reasons: string[],
): BootReport['state']['mode'] | undefined {
  const mountWritable = () => tryMount(machine, device, { attempt: READ_WRITE, reasons });
  if (mountWritable()) return isReadOnly(machine, reasons) ? 'read-only' : 'disk';
  if (restoreFromCopy(machine, device, reasons) && mountWritable()) {
    return isReadOnly(machine, reasons) ? 'read-only' : 'backup-superblock';
  }
  const works = READ_ONLY.some((attempt) => tryMount(machine, device, { attempt, reasons }));
  return works ? 'read-only' : undefined;
}

function tryMount(
  machine: Machine,
  device: string,
  using: { readonly attempt: MountAttempt; readonly reasons: string[] },
): boolean {
  const { readOnly, options } = using.attempt;
  const flags = ['nosuid', 'nodev', 'noexec', 'noatime'] as const;
  try {
    machine.syscalls.mount({
      source: device,
      target: MOUNT_POINT,
      type: 'ext4',
      flagBits: mountFlagBits(readOnly ? [...flags, 'ro'] : flags),
      data: options,
    });
    return true;
  } catch (error) {
    const text = `${device} (${options || 'read-only'}): ${reasonOf(error)}`;
    // The last resorts fail in the same way, one after the other.
    if (using.reasons.length < REASONS_MAX) using.reasons.push(text);
    return false;
  }
}

/**
 * True when ext4 has mounted read-only although it was not asked to: it does so, without an error, for a file system
 * that is marked so and for a disk that takes no writes.
 */
function isReadOnly(machine: Machine, reasons: string[]): boolean {
  const mounts = machine.files.exists(MOUNTS) ? machine.files.readText(MOUNTS).split('\n') : [];
  const options = mounts
    .map((line) => line.split(' '))
    .findLast(([, at]) => at === MOUNT_POINT)?.[3];
  if (options?.split(',').includes('ro') !== true) return false;
  reasons.push('The kernel has mounted it read-only');
  return true;
}

/** Writes a superblock that is broken anew from its first good copy; true when that was done. */
function restoreFromCopy(machine: Machine, device: string, reasons: string[]): boolean {
  const read = (offsetBytes: number) =>
    machine.blockDevices.read(device, { offsetBytes, lengthBytes: SUPERBLOCK_BYTES });
  try {
    if (!isSuperblockDamaged(read(SUPERBLOCK_OFFSET_BYTES))) return false;
    for (const offsetBytes of BACKUP_OFFSETS_BYTES) {
      const bytes = restoreSuperblock(read(offsetBytes));
      if (bytes === undefined) continue;
      machine.blockDevices.write(device, { offsetBytes: SUPERBLOCK_OFFSET_BYTES, bytes });
      reasons.push(`The superblock was damaged and restored from its copy at ${offsetBytes}`);
      return true;
    }
    reasons.push('The superblock is damaged, and so is every copy');
  } catch (error) {
    reasons.push(`${device} superblock: ${reasonOf(error)}`);
  }
  return false;
}

/** The partition, waited for when the disk is slow to appear. */
async function findPartition(machine: Machine): Promise<PartitionChoice | undefined> {
  const rootDisk = rootDiskName(machine);
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const choice = chooseStatePartition(listPartitions(machine), rootDisk);
    if (choice !== undefined || waitedMs >= WAIT_MS) return choice;
    await new Promise<void>((resolve) => void machine.clock.after(POLL_MS, resolve));
  }
}
