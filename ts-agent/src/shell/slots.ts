/** The two slots of the disk that the node runs from. */
import { KeelError } from '@keelos/proto/errors.ts';
import {
  decodeBackupGpt,
  decodeGpt,
  GPT_BACKUP_SECTORS,
  GPT_PRIMARY_SECTORS,
  type Gpt,
  SECTOR_BYTES,
} from '@keelos/proto/gpt.ts';
import { PARTITION_NAMES } from '@keelos/proto/node-paths.ts';
import type { PictureSlot, SlotName } from '../core/boot-state.ts';
import type { AgentPorts } from '../ports.ts';
import { type Partition, partitions, rootPartition, trimmedText } from './node-facts.ts';

/** GPT names of the partitions. */
const LABELS: Readonly<Record<SlotName, string>> = {
  a: PARTITION_NAMES.slotA,
  b: PARTITION_NAMES.slotB,
};

/** A slot by its name, or by what it is to the running system. */
export type SlotWanted = SlotName | 'running' | 'other';

/** A slot's partition. */
export interface SlotPartition extends PictureSlot {
  readonly isRunning: boolean;
  /** For example "/dev/vda". */
  readonly disk: string;
  /** As Linux counts, from 1. */
  readonly partitionNumber: number;
}

type Ports = Pick<AgentPorts, 'files' | 'targetOf' | 'log'>;

/**
 * Finds a slot.
 *
 * @throws KeelError E_SLOT_UNKNOWN when the root is not opened from a slot, or the disk has no such partition
 */
export async function findSlot(ports: Ports, wanted: SlotWanted): Promise<SlotPartition> {
  const all = await partitions(ports.files);
  const root = await rootPartition(ports, all);
  const running = slotOf(root?.label);
  if (root === undefined || running === undefined) {
    throw new KeelError(
      'E_SLOT_UNKNOWN',
      `Cannot find slot ${wanted}: the root file system is not opened from a slot's partition`,
    );
  }
  const slot = resolve(wanted, running);
  const label = LABELS[slot];
  const partition = all.find((one) => one.disk === root.disk && one.label === label);
  if (partition === undefined) {
    throw new KeelError(
      'E_SLOT_UNKNOWN',
      `Cannot find slot ${slot}: ${root.disk} has no partition ${label}`,
    );
  }
  const sectors = Number(await trimmedText(ports.files, `/sys/class/block/${partition.name}/size`));
  return {
    slot,
    isRunning: slot === running,
    device: `/dev/${partition.name}`,
    sizeBytes: Number.isSafeInteger(sectors) ? sectors * SECTOR_BYTES : 0,
    guid: await partitionGuid(ports, partition),
    disk: `/dev/${partition.disk}`,
    partitionNumber: partition.number,
  };
}

function slotOf(label: string | undefined): SlotName | undefined {
  if (label === LABELS.a) return 'a';
  return label === LABELS.b ? 'b' : undefined;
}

function resolve(wanted: SlotWanted, running: SlotName): SlotName {
  if (wanted === 'running') return running;
  if (wanted === 'other') return running === 'a' ? 'b' : 'a';
  return wanted;
}

/** The kernel does not show partition GUIDs outside its own tables, so the disk's table is read. */
async function partitionGuid(ports: Ports, partition: Partition): Promise<string> {
  try {
    const table = await readGpt(ports, partition.disk);
    return table.partitions.find(({ number }) => number === partition.number)?.guid ?? '';
  } catch (cause) {
    // What the slot holds can be verified without it.
    ports.log(`partition table of ${partition.disk} not read: ${String(cause)}`);
    return '';
  }
}

/**
 * The partition table of a disk by its name: the primary one, or the backup when that is damaged or cannot be read.
 *
 * @throws KeelError E_DISK_LAYOUT
 */
export async function readGpt({ files }: Pick<AgentPorts, 'files'>, disk: string): Promise<Gpt> {
  const device = `/dev/${disk}`;
  const lengthBytes = GPT_PRIMARY_SECTORS * SECTOR_BYTES;
  try {
    return decodeGpt(await files.readAt(device, { offsetBytes: 0, lengthBytes }));
  } catch (cause) {
    try {
      return await readBackupGpt(files, disk, cause);
    } catch (last) {
      throw asLayoutError(last, device);
    }
  }
}

/** @throws `primary` when the size of the disk does not tell where it is, and what reading it throws */
async function readBackupGpt(
  files: AgentPorts['files'],
  disk: string,
  primary: unknown,
): Promise<Gpt> {
  const sectors = Number(await trimmedText(files, `/sys/class/block/${disk}/size`));
  if (!(sectors > GPT_BACKUP_SECTORS)) throw primary;
  const backup = {
    offsetBytes: (sectors - GPT_BACKUP_SECTORS) * SECTOR_BYTES,
    lengthBytes: GPT_BACKUP_SECTORS * SECTOR_BYTES,
  };
  return decodeBackupGpt(await files.readAt(`/dev/${disk}`, backup));
}

/** What reading a table throws, in the table's terms. */
export function asLayoutError(cause: unknown, device: string): KeelError {
  if (cause instanceof KeelError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `Cannot read partition table of ${device}: ${reason}`;
  return new KeelError('E_DISK_LAYOUT', message, { cause });
}
