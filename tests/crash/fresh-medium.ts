/** A disk as `keel-image build` leaves it, but small: boot files, a release in slot A, nothing in slot B. */

import { LOADER_CONFIG } from '@keelos/image/core/boot-files.ts';
import { ESP_PATHS, PARTITIONS } from '@keelos/image/core/disk-layout.data.ts';
import { buildFat32 } from '@keelos/image/core/fat.ts';
import {
  COMMITTED_TRIES,
  ENTRIES_DIR,
  type EntryName,
  entryFileName,
  entryText,
  kernelImagePath,
} from '@keelos/proto/boot-entry.ts';
import { encodeGpt, type GptPartition } from '@keelos/proto/gpt.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import { PARTITION_NAMES, STATE_PARTITION_TYPE } from '@keelos/proto/node-paths.ts';
import { FileNames } from './file-names.ts';
import type { DeviceExtent } from './hardware.ts';
import type { Medium } from './medium.ts';
import { efiProgram, type Release } from './releases.ts';
import { SECTOR_BYTES, Sectors } from './sectors.ts';

const MIB = 1_048_576;
/** FAT32 has 65,525 clusters at least: with clusters of one sector that is a little over 32 MiB. */
const ESP_BYTES = 34 * MIB;
const SMALL_BYTES = MIB;
const DISK_GUID = 'dddddddd-dddd-4ddd-8ddd-dddddddddddd';
const SECTORS_PER_MIB = MIB / SECTOR_BYTES;

/** Names of the device files. */
export const DEVICES = {
  disk: '/dev/vda',
  esp: '/dev/vda1',
  a: '/dev/vda2',
  b: '/dev/vda3',
  state: '/dev/vda4',
} as const;
/** The whole disk, as firmware and kernel read it: not through a page cache of the running system. */
export const FIRMWARE_DEVICE = 'firmware';

/** Sizes of the partitions in the order of the table. */
const SIZES = { esp: ESP_BYTES, 'slot-a': SMALL_BYTES, 'slot-b': SMALL_BYTES, state: SMALL_BYTES };

function table(rootHash: { readonly a?: string; readonly b?: string }): readonly GptPartition[] {
  let next = SECTORS_PER_MIB;
  return PARTITIONS.map(({ role, typeGuid, name }, index) => {
    const firstLba = next;
    next += SIZES[role] / SECTOR_BYTES;
    const own = role === 'slot-a' ? rootHash.a : role === 'slot-b' ? rootHash.b : undefined;
    const guid = own === undefined ? `eeeeeeee-eeee-4eee-8eee-eeeeeeeeee0${index}` : slotGuid(own);
    return {
      number: index + 1,
      guid,
      firstLba,
      lastLba: next - 1,
      attributes: 0n,
      name,
      typeGuid: role === 'state' ? STATE_PARTITION_TYPE : typeGuid,
    };
  });
}

/** Sectors of the disk: the partitions, a MiB before and one behind them. */
const DISK_BYTES = Object.values(SIZES).reduce((sum, size) => sum + size, 2 * MIB);

/** Where each device file begins, and how long it is. */
export const EXTENTS: ReadonlyMap<string, DeviceExtent> = new Map([
  [FIRMWARE_DEVICE, { offsetBytes: 0, sizeBytes: DISK_BYTES }],
  [DEVICES.disk, { offsetBytes: 0, sizeBytes: DISK_BYTES }],
  ...table({}).map(({ number, firstLba, lastLba }): [string, DeviceExtent] => [
    `${DEVICES.disk}${number}`,
    { offsetBytes: firstLba * SECTOR_BYTES, sizeBytes: (lastLba - firstLba + 1) * SECTOR_BYTES },
  ]),
]);

/** Extent of a device file that is there. */
export function extentOf(device: string): DeviceExtent {
  const extent = EXTENTS.get(device);
  if (extent === undefined) throw new RangeError(`no device ${device}`);
  return extent;
}

/** Partition of a slot: number and GPT name. */
export const SLOT_PARTITIONS = {
  a: { number: 2, name: PARTITION_NAMES.slotA, device: DEVICES.a },
  b: { number: 3, name: PARTITION_NAMES.slotB, device: DEVICES.b },
} as const;

/** A release in slot B. */
export interface SecondRelease {
  readonly release: Release;
  /** Of its entry. */
  readonly name: EntryName;
}

function bootFiles({ release, name }: SecondRelease) {
  const uki = kernelImagePath(release.rootHash);
  const text = entryText({ version: release.version, uki });
  return [
    { path: uki, data: release.uki },
    { path: `${ENTRIES_DIR}/${entryFileName(name)}`, data: Buffer.from(text) },
  ];
}

/** The disk of a machine that was never on; with `second` as somebody has left it who installed by hand. */
export function freshMedium(release: Release, second?: SecondRelease): Medium {
  const disk = new Sectors(DISK_BYTES);
  const encoded = encodeGpt({
    diskGuid: DISK_GUID,
    diskSectors: DISK_BYTES / SECTOR_BYTES,
    partitions: table({
      a: release.rootHash,
      ...(second === undefined ? {} : { b: second.release.rootHash }),
    }),
  });
  disk.write(0, encoded.primary);
  disk.write(encoded.backupLba * SECTOR_BYTES, encoded.backup);
  const loader = efiProgram('loader', '');
  const name = { sequence: 1, counter: { left: COMMITTED_TRIES, done: 0 } };
  const esp = extentOf(DEVICES.esp);
  for (const { offset, data } of buildFat32({
    sizeBytes: esp.sizeBytes,
    label: 'KEEL-ESP',
    volumeId: 1,
    clusterBytes: SECTOR_BYTES,
    hiddenSectors: esp.offsetBytes / SECTOR_BYTES,
    timeSeconds: 1_767_225_600,
    files: [
      { path: ESP_PATHS.loader, data: loader },
      { path: ESP_PATHS.secondLoader, data: loader },
      { path: ESP_PATHS.loaderConfig, data: Buffer.from(LOADER_CONFIG) },
      ...bootFiles({ release, name }),
      ...(second === undefined ? [] : bootFiles(second)),
    ],
  })) {
    disk.write(esp.offsetBytes + offset, data);
  }
  disk.write(extentOf(DEVICES.a).offsetBytes, release.root);
  if (second !== undefined) disk.write(extentOf(DEVICES.b).offsetBytes, second.release.root);
  return { disk, files: new FileNames(), variables: new Map() };
}
