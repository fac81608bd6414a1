/**
 * Which partition holds the state, and how is it mounted? Reads what the kernel says in /sys/class/block.
 */
import { PARTITION_NAMES } from '@keelos/proto/node-paths.ts';
import { BACKUP_OFFSETS_BYTES } from './ext4-superblock.ts';

/** A partition as /sys/class/block/<name> describes it. */
export interface PartitionFacts {
  /** Kernel name, for example "vda4". */
  readonly name: string;
  /** Kernel name of the whole disk. */
  readonly disk: string;
  readonly uevent: string;
}

/** Result of the search. */
export interface PartitionChoice {
  readonly name: string;
  readonly disk: string;
  readonly partitionNumber: number;
  /** Set when there was more than one candidate; else empty. */
  readonly problem: string;
}

/** Finds the state partition, see {@link choosePartition}. */
export function chooseStatePartition(
  partitions: readonly PartitionFacts[],
  rootDisk: string | undefined,
): PartitionChoice | undefined {
  return choosePartition(partitions, { name: PARTITION_NAMES.state, rootDisk });
}

/**
 * Finds a partition by its GPT name. The disk that the root file system is on wins; otherwise the first by name, with a
 * problem when there are several.
 */
export function choosePartition(
  partitions: readonly PartitionFacts[],
  which: { readonly name: string; readonly rootDisk: string | undefined },
): PartitionChoice | undefined {
  const { name, rootDisk } = which;
  const candidates = partitions
    .map((one) => ({ ...one, facts: parseUevent(one.uevent) }))
    .filter((one) => one.facts.get('PARTNAME') === name)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const onRoot = candidates.find((one) => one.disk === rootDisk);
  const chosen = onRoot ?? candidates[0];
  if (chosen === undefined) return undefined;
  const ambiguous = onRoot === undefined && candidates.length > 1;
  return {
    name: chosen.name,
    disk: chosen.disk,
    partitionNumber: Number(chosen.facts.get('PARTN') ?? 0),
    problem: ambiguous
      ? `There are ${candidates.length} partitions named ${name}: ${chosen.name} is used`
      : '',
  };
}

/** KEY=value lines of a uevent file. */
export function parseUevent(text: string): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) facts.set(line.slice(0, equals), line.slice(equals + 1));
  }
  return facts;
}

/** One way to mount the state partition. */
export interface MountAttempt {
  readonly readOnly: boolean;
  /** Options of ext4, see Documentation/admin-guide/ext4.rst. */
  readonly options: string;
}

/** As it should be: an error found later makes the file system read-only, and the node goes on. */
export const READ_WRITE: MountAttempt = { readOnly: false, options: 'errors=remount-ro' };

/**
 * What is left when it cannot be mounted for writing, best first: as it is; without its journal; by a copy of superblock
 * and group descriptors (`sb=` counts in KiB). The copies of the descriptors are old, so they must not be written with.
 */
export const READ_ONLY: readonly MountAttempt[] = [
  { readOnly: true, options: '' },
  { readOnly: true, options: 'noload' },
  ...BACKUP_OFFSETS_BYTES.map((offsetBytes) => ({
    readOnly: true,
    options: `noload,sb=${offsetBytes / 1024}`,
  })),
];
