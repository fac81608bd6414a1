/**
 * Which partition holds the state, and how is it mounted? Reads what the kernel says in /sys/class/block.
 */
import { STATE_PARTITION_NAME } from '@keelos/proto/node-paths.ts';

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

/**
 * Finds the state partition by its GPT name. The disk that the root file system is on wins; otherwise the first by
 * name, with a problem when there are several.
 */
export function chooseStatePartition(
  partitions: readonly PartitionFacts[],
  rootDisk: string | undefined,
): PartitionChoice | undefined {
  const candidates = partitions
    .map((one) => ({ ...one, facts: parseUevent(one.uevent) }))
    .filter((one) => one.facts.get('PARTNAME') === STATE_PARTITION_NAME)
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
      ? `There are ${candidates.length} partitions named ${STATE_PARTITION_NAME}: ${chosen.name} is used`
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
  readonly mode: 'disk' | 'backup-superblock' | 'read-only';
  readonly readOnly: boolean;
  /** Options of ext4, see Documentation/admin-guide/ext4.rst. */
  readonly options: string;
}

/** Groups that hold a copy of the superblock (sparse_super): 1 and powers of 3, 5, 7; the first few are enough. */
const BACKUP_GROUPS = [1, 3, 5, 7, 9] as const;
/** Blocks of 4 KiB in a group, in the unit of the `sb=` option, 1 KiB. */
const GROUP_KIBIBYTES = 131_072;

/** Ways to mount, best first: as it should be, from a copy of the superblock, read-only, read-only without journal. */
export const MOUNT_ATTEMPTS: readonly MountAttempt[] = [
  { mode: 'disk', readOnly: false, options: 'errors=remount-ro' },
  ...BACKUP_GROUPS.map(
    (group): MountAttempt => ({
      mode: 'backup-superblock',
      readOnly: false,
      options: `errors=remount-ro,sb=${group * GROUP_KIBIBYTES}`,
    }),
  ),
  { mode: 'read-only', readOnly: true, options: '' },
  { mode: 'read-only', readOnly: true, options: 'noload' },
];
