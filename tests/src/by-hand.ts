/**
 * Puts a release into slot B of a disk whose machine is off, and arms it, with other people's tools: what an install
 * leaves behind, without the code that installs.
 */
import { rm, writeFile } from 'node:fs/promises';
import {
  type EntryName,
  entryFileName,
  entryText,
  kernelImagePath,
} from '@keelos/proto/boot-entry.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import type { ReleaseParts } from './bundle-factory.ts';
import { PARTITION, partition, tool, writeBytes } from './disk.ts';

/** Where files of the EFI system partition are, as mtools take it. */
export async function espOf(disk: string): Promise<string> {
  return `${disk}@@${(await partition(disk, PARTITION.esp)).offsetBytes}`;
}

/** Names in a folder of the EFI system partition. */
export async function listEsp(disk: string, folder: string): Promise<string[]> {
  const text = await tool('mdir', '-b', '-i', await espOf(disk), `::${folder}`);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.slice(line.lastIndexOf('/') + 1));
}

/** Writes a file of the EFI system partition. */
export async function putOnEsp(disk: string, path: string, bytes: Uint8Array): Promise<void> {
  const file = `${disk}.esp`;
  await writeFile(file, bytes);
  await tool('mcopy', '-o', '-i', await espOf(disk), file, `::${path}`);
  await rm(file);
}

/** Removes a file of the EFI system partition. */
export async function removeFromEsp(disk: string, path: string): Promise<void> {
  await tool('mdel', '-i', await espOf(disk), `::${path}`);
}

/** Root, partition GUID, kernel image and entry of a release, in the order of an install. */
export async function installByHand(
  disk: string,
  release: ReleaseParts,
  entry: EntryName,
): Promise<void> {
  const { version, rootHash, root, kernelImage } = release;
  const slot = await partition(disk, PARTITION.slotB);
  await writeBytes(disk, slot.offsetBytes, root);
  await tool('sgdisk', `--partition-guid=${PARTITION.slotB}:${slotGuid(rootHash)}`, disk);
  const uki = kernelImagePath(rootHash);
  await putOnEsp(disk, uki, kernelImage);
  const text = entryText({ version, uki });
  await putOnEsp(disk, `loader/entries/${entryFileName(entry)}`, Buffer.from(text));
}
