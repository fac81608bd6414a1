/**
 * Puts the parts of an image together: partition table, boot files, root in slot A, state partition.
 */
import { createHash } from 'node:crypto';
import { kernelImagePath } from '@keelos/proto/boot-entry.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { Gpt } from '@keelos/proto/gpt.ts';
import { encodeGpt, GPT_BACKUP_SECTORS, partitionBytes, SECTOR_BYTES } from '@keelos/proto/gpt.ts';
import { guidFromHex, slotGuid } from '@keelos/proto/guid.ts';
import { bootEntry, committedEntryPath, LOADER_CONFIG } from './boot-files.ts';
import type { PartitionRole } from './disk-layout.data.ts';
import { ALIGN_BYTES, ESP_FILE_SYSTEM, ESP_PATHS, PARTITIONS } from './disk-layout.data.ts';
import type { Extent } from './extent.ts';
import { shiftExtents } from './extent.ts';
import { buildFat32 } from './fat.ts';

/** A GUID (version 8, RFC 9562) that depends on nothing but `name` and the root hash. */
export function derivedGuid(name: string, rootHash: string): string {
  const bytes = createHash('sha256').update(`keelos ${name} ${rootHash}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return guidFromHex(bytes.toString('hex'));
}

/** The partition table of a fresh disk whose slot A holds `rootHash`. */
export function freshTable(rootHash: string): Gpt {
  let next = ALIGN_BYTES / SECTOR_BYTES;
  const partitions = PARTITIONS.map((plan, position) => {
    const firstLba = next;
    next += plan.sizeBytes / SECTOR_BYTES;
    return {
      number: position + 1,
      typeGuid: plan.typeGuid,
      guid: plan.role === 'slot-a' ? slotGuid(rootHash) : derivedGuid(plan.role, rootHash),
      firstLba,
      lastLba: next - 1,
      attributes: 0n,
      name: plan.name,
    };
  });
  const alignSectors = ALIGN_BYTES / SECTOR_BYTES;
  const diskSectors = Math.ceil((next + GPT_BACKUP_SECTORS) / alignSectors) * alignSectors;
  return { diskGuid: derivedGuid('disk', rootHash), diskSectors, partitions };
}

/** The parts that go on a disk. */
export interface DiskParts {
  readonly version: string;
  readonly rootHash: string;
  readonly buildEpochSeconds: number;
  /** systemd-bootx64.efi */
  readonly loader: Uint8Array;
  readonly uki: Uint8Array;
  /** Root file system with its hash tree. */
  readonly root: Uint8Array;
  /** Ranges of the state partition's file system. */
  readonly state: readonly Extent[];
}

function bootFileSystem(
  parts: DiskParts,
  place: { sizeBytes: number; firstLba: number },
): Extent[] {
  const text = (path: string, content: string) => ({ path, data: Buffer.from(content) });
  return buildFat32({
    sizeBytes: place.sizeBytes,
    label: ESP_FILE_SYSTEM.label,
    volumeId: Number.parseInt(parts.rootHash.slice(0, 8), 16),
    clusterBytes: ESP_FILE_SYSTEM.clusterBytes,
    hiddenSectors: place.firstLba,
    timeSeconds: parts.buildEpochSeconds,
    files: [
      { path: ESP_PATHS.loader, data: parts.loader },
      { path: ESP_PATHS.secondLoader, data: parts.loader },
      text(ESP_PATHS.loaderConfig, LOADER_CONFIG),
      { path: kernelImagePath(parts.rootHash), data: parts.uki },
      text(committedEntryPath(1), bootEntry(parts)),
    ],
  });
}

/**
 * Byte ranges of a whole disk, and its size. Slot B is empty.
 *
 * @throws KeelError E_IMAGE_INVALID when a part does not fit its partition.
 */
export function buildDisk(parts: DiskParts): { sizeBytes: number; extents: Extent[] } {
  const table = freshTable(parts.rootHash);
  const encoded = encodeGpt(table);
  const extents: Extent[] = [
    { offset: 0, data: encoded.primary },
    { offset: encoded.backupLba * SECTOR_BYTES, data: encoded.backup },
  ];
  const fill: Record<PartitionRole, (sizeBytes: number, firstLba: number) => readonly Extent[]> = {
    esp: (sizeBytes, firstLba) => bootFileSystem(parts, { sizeBytes, firstLba }),
    'slot-a': () => [{ offset: 0, data: parts.root }],
    'slot-b': () => [],
    state: () => parts.state,
  };
  for (const [position, plan] of PARTITIONS.entries()) {
    const partition = table.partitions[position];
    if (partition === undefined) throw new RangeError('a partition without a place');
    const sizeBytes = partitionBytes(partition);
    const content = fill[plan.role](sizeBytes, partition.firstLba);
    const end = Math.max(0, ...content.map(({ offset, data }) => offset + data.length));
    if (end > sizeBytes) {
      const reason = `${end} bytes for partition ${plan.name} of ${sizeBytes}`;
      throw new KeelError('E_IMAGE_INVALID', `Cannot make disk: ${reason}`);
    }
    extents.push(...shiftExtents(content, partition.firstLba * SECTOR_BYTES));
  }
  return { sizeBytes: table.diskSectors * SECTOR_BYTES, extents };
}
