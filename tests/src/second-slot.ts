/** Puts another root into slot B of a disk image, as an update would: root, partition GUID, kernel image. */
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { kernelCommandLine } from '@keelos/image/core/command-line.ts';
import { readUki } from '@keelos/image/core/uki.ts';
import type { BuiltImage } from '@keelos/image/shell/build.ts';
import { appendHashTree } from '@keelos/image/sys/verity.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import { parseVerityTable, VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { PARTITION, partition, tool, writeBytes } from './disk.ts';

/** Time of the file system in a SquashFS superblock: another one makes another root with the same files. */
const SQUASHFS_TIME_AT = 8;
const SQUASHFS_USED_AT = 40;

/** What lies in slot B now. */
export interface SecondSlot {
  /** Where the partition begins on the disk. */
  readonly offsetBytes: number;
  readonly rootHash: string;
  /** Size of the file system with its padding; the hash tree begins there. */
  readonly dataBytes: number;
  /** Size of the file system without its padding. */
  readonly usedBytes: number;
  readonly treeBytes: number;
}

/** Writes to the disk of a machine that is off. */
export async function fillSecondSlot(disk: string, image: BuiltImage): Promise<SecondSlot> {
  const uki = await readFile(image.uki);
  const { commandLine } = readUki(uki);
  const table = parseVerityTable(commandLine);
  assert.ok(table !== undefined, `no verity table in ${commandLine}`);
  const dataBytes = table.dataBlocks * VERITY_BLOCK_BYTES;
  const data = (await readFile(image.root)).subarray(0, dataBytes);
  data.writeUInt32LE(data.readUInt32LE(SQUASHFS_TIME_AT) + 1, SQUASHFS_TIME_AT);
  const { image: root, verity } = await appendHashTree(data);
  const slot = await partition(disk, PARTITION.slotB);
  await writeBytes(disk, slot.offsetBytes, root);
  await tool('sgdisk', `--partition-guid=${PARTITION.slotB}:${slotGuid(verity.rootHash)}`, disk);
  await addKernelImage(disk, {
    name: `keel-${verity.rootHash.slice(0, 16)}.efi`,
    bytes: replaced(uki, commandLine, kernelCommandLine(verity)),
  });
  return {
    offsetBytes: slot.offsetBytes,
    rootHash: verity.rootHash,
    dataBytes,
    usedBytes: Number(data.readBigUInt64LE(SQUASHFS_USED_AT)),
    treeBytes: root.length - dataBytes,
  };
}

/** The same kernel image with another command line of the same length. */
function replaced(uki: Buffer, from: string, to: string): Buffer {
  assert.equal(to.length, from.length);
  const at = uki.indexOf(from, 0, 'latin1');
  assert.ok(at > 0);
  const copy = Buffer.from(uki);
  copy.write(to, at, 'latin1');
  return copy;
}

async function addKernelImage(
  disk: string,
  { name, bytes }: { readonly name: string; readonly bytes: Buffer },
): Promise<void> {
  const { offsetBytes } = await partition(disk, PARTITION.esp);
  const file = `${disk}.efi`;
  await writeFile(file, bytes);
  await tool('mcopy', '-i', `${disk}@@${offsetBytes}`, file, `::EFI/keel/${name}`);
  await rm(file);
}
