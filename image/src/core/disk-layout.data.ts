/**
 * How a KeelOS disk is divided, and why. Everything that makes, checks or documents a disk reads these values.
 */
import { LOADER_PATH, SECOND_LOADER_PATH } from '@keelos/proto/boot-entry.ts';
import { PARTITION_NAMES, STATE_PARTITION_TYPE } from '@keelos/proto/node-paths.ts';

const MIB = 1024 * 1024;

/** Partitions start on this boundary: erase blocks and RAID stripes are powers of two up to 1 MiB. */
export const ALIGN_BYTES = MIB;

/** What a partition is for. */
export type PartitionRole = 'esp' | 'slot-a' | 'slot-b' | 'state';

/** One partition of the disk image. */
export interface PartitionPlan {
  readonly role: PartitionRole;
  /** GPT name. */
  readonly name: string;
  readonly typeGuid: string;
  readonly sizeBytes: number;
  readonly reason: string;
}

/** In the order of the table, which is their order on the disk. */
export const PARTITIONS: readonly PartitionPlan[] = [
  {
    role: 'esp',
    name: PARTITION_NAMES.esp,
    typeGuid: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
    sizeBytes: 256 * MIB,
    reason:
      'EFI system partition (UEFI Specification 2.10, 5.3.3). Two boot loaders and three kernel images, each under 20 MiB, and room for larger kernels; small enough for firmware that reads it slowly.',
  },
  {
    role: 'slot-a',
    name: PARTITION_NAMES.slotA,
    typeGuid: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
    sizeBytes: 512 * MIB,
    reason:
      'Root for x86-64 (Discoverable Partitions Specification). Root file system and hash tree; five times the present size with Kubernetes parts, since a slot cannot grow later.',
  },
  {
    role: 'slot-b',
    name: PARTITION_NAMES.slotB,
    typeGuid: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
    sizeBytes: 512 * MIB,
    reason: 'The other slot, as large as the first. Empty until the first update.',
  },
  {
    role: 'state',
    name: PARTITION_NAMES.state,
    typeGuid: STATE_PARTITION_TYPE,
    sizeBytes: 64 * MIB,
    reason:
      'Everything a node writes. Last on the disk, so that the node can grow it over the rest of the disk on its first boot; 64 MiB keep the download small and leave room for a journal of 8 MiB.',
  },
];

/** The EFI system partition's file system. */
export const ESP_FILE_SYSTEM = {
  label: 'KEEL-ESP',
  /** 2 KiB: FAT32 needs at least 65,525 clusters, which 4 KiB would miss at 256 MiB. */
  clusterBytes: 2048,
} as const;

/** The state partition's file system. */
export const STATE_FILE_SYSTEM = {
  label: PARTITION_NAMES.state,
  blockBytes: 4096,
  /** The half block group of the fresh file system gets 8,192 inodes, and so does every whole one that growth adds: one for 16 KiB. */
  bytesPerInode: 8192,
  /** Largest size that online growth prepares for (reserved blocks for group descriptors): 4 TiB. */
  growBlocksMax: 2 ** 30,
} as const;

/** Where things are on the EFI system partition. */
export const ESP_PATHS = {
  /** The path that firmware starts without any boot option. */
  loader: LOADER_PATH,
  /** Second copy of the loader. The node makes a boot option for it. */
  secondLoader: SECOND_LOADER_PATH,
  loaderConfig: 'loader/loader.conf',
} as const;
