/** A disk that the boot loader has started the node from: partition table, loader entry, kernel image, boot options. */

import { kernelCommandLine } from '@keelos/image/core/command-line.ts';
import {
  ENTRIES_DIR,
  entryFileName,
  entryText,
  kernelImagePath,
  LOADER_PATH,
  SECOND_LOADER_PATH,
} from '@keelos/proto/boot-entry.ts';
import { encodeGpt, type Gpt } from '@keelos/proto/gpt.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import { planLadder, wantedOptions } from '@keelos/ts-agent/core/boot-options.ts';
import type { OptionPartition } from '@keelos/ts-agent/core/load-option.ts';
import { LOADER_SELECTED } from '@keelos/ts-agent/core/loader-variables.ts';
import type { FakeFirmwareVariables } from '@keelos/ts-agent/sys/firmware-variables.fake.ts';
import { testEsp, testKernelImage } from './slot-disk.ts';

const ESP_TYPE = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const ROOT_TYPE = '4f68bce3-e8cd-4db1-96e7-fbcaf984b709';

/** Where the EFI system partition of {@link bootTable} is. */
export const ESP_PARTITION: OptionPartition = {
  number: 1,
  firstLba: 2048,
  sectors: 2048,
  guid: 'e5e5e5e5-e5e5-4e5e-8e5e-e5e5e5e5e5e5',
};

/** A partition table with an EFI system partition and a slot for `rootHash`. */
export function bootTable(rootHash: string): Gpt {
  const { number, firstLba, sectors, guid } = ESP_PARTITION;
  const lastLba = firstLba + sectors - 1;
  return {
    diskGuid: 'd15cd15c-d15c-4d15-8d15-d15cd15cd15c',
    diskSectors: 16_384,
    partitions: [
      { number, typeGuid: ESP_TYPE, guid, firstLba, lastLba, attributes: 0n, name: 'keel-esp' },
      {
        number: 2,
        typeGuid: ROOT_TYPE,
        guid: slotGuid(rootHash),
        firstLba: 4096,
        lastLba: 6143,
        attributes: 0n,
        name: 'keel-a',
      },
    ],
  };
}

/** The first sectors of the disk. */
export function bootTableBytes(rootHash: string): Buffer {
  return encodeGpt(bootTable(rootHash)).primary;
}

/** A kernel image for `rootHash` with no more in it than its command line. */
export function kernelImageFor(rootHash: string): Buffer {
  const verity = { dataBytes: 4096 * 130, rootHash, salt: '0a'.repeat(32) };
  return testKernelImage(kernelCommandLine(verity));
}

/** An EFI system partition whose entry 1 starts `rootHash`, with the tries that are left of nine. */
export function bootEsp(of: {
  readonly rootHash: string;
  readonly triesLeft: number;
  readonly loader?: Buffer;
  readonly secondLoader?: Buffer;
}): Buffer {
  const uki = kernelImagePath(of.rootHash);
  const counter = { left: of.triesLeft, done: 9 - of.triesLeft };
  return testEsp([
    { path: LOADER_PATH, data: of.loader ?? Buffer.alloc(9) },
    { path: SECOND_LOADER_PATH, data: of.secondLoader ?? of.loader ?? Buffer.alloc(9) },
    { path: uki, data: kernelImageFor(of.rootHash) },
    {
      path: `${ENTRIES_DIR}/${entryFileName({ sequence: 1, counter })}`,
      data: Buffer.from(entryText({ version: '0.1.0', uki })),
    },
  ]);
}

/** What loader and firmware have in their variables once the loader has started entry 1. */
export function setBootVariables({ variables }: FakeFirmwareVariables, rootHash: string): void {
  const selected = Buffer.from('keel-1+9.conf\0', 'utf16le');
  variables.set(LOADER_SELECTED, { attributes: 6, data: selected });
  const wanted = wantedOptions(ESP_PARTITION, { version: '0.1.0', rootHash });
  for (const change of planLadder({ order: [], options: new Map() }, wanted)) {
    if (change.kind === 'write') variables.set(change.name, change);
  }
}
