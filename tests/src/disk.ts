/**
 * Looks at and damages disk images, with other people's tools where they exist.
 */
import assert from 'node:assert/strict';
import { open, rm } from 'node:fs/promises';
import { findCommand } from '../../scripts/lib/apt.mjs';
import { runProgram } from './program.ts';

const SECTOR_BYTES = 512;
const COPY_BYTES = 1024 * 1024;

/** Numbers of the partitions, in the order of the table. */
export const PARTITION = { esp: 1, slotA: 2, slotB: 3, state: 4 } as const;

/** Where a partition is. */
export interface Extent {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  readonly name: string;
  /** Unique GUID, lower case. */
  readonly guid: string;
}

/** Runs a tool that must succeed; returns what it printed. sbin folders are searched too. */
export async function tool(name: string, ...args: string[]): Promise<string> {
  const path = findCommand(name);
  assert.ok(path !== undefined, `${name} is not installed`);
  const { exitCode, stdout, stderr } = await runProgram(path, args);
  assert.equal(exitCode, 0, `${name} ${args.join(' ')}: ${stderr}${stdout}`);
  return stdout;
}

/** Partition `number` of a raw disk image, as sgdisk sees it. */
export async function partition(disk: string, number: number): Promise<Extent> {
  const text = await tool('sgdisk', '--info', String(number), disk);
  const first = Number(/First sector: (\d+)/.exec(text)?.[1]);
  const last = Number(/Last sector: (\d+)/.exec(text)?.[1]);
  assert.ok(first > 0 && last >= first, `no partition ${number}: ${text}`);
  return {
    offsetBytes: first * SECTOR_BYTES,
    sizeBytes: (last - first + 1) * SECTOR_BYTES,
    name: /Partition name: '([^']*)'/.exec(text)?.[1] ?? '',
    guid: (/unique GUID: ([0-9A-F-]+)/.exec(text)?.[1] ?? '').toLowerCase(),
  };
}

/** A file system in a disk image, as the tools of e2fsprogs take it: they read it where it is. */
export async function inPlace(disk: string, number: number): Promise<string> {
  return `${disk}?offset=${(await partition(disk, number)).offsetBytes}`;
}

/** `sizeBytes` bytes of a file from `offsetBytes`. */
export async function readBytes(file: string, offsetBytes: number, sizeBytes: number) {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(
      Buffer.alloc(sizeBytes),
      0,
      sizeBytes,
      offsetBytes,
    );
    assert.equal(bytesRead, sizeBytes, `${file} ends before ${offsetBytes + sizeBytes}`);
    return buffer;
  } finally {
    await handle.close();
  }
}

/** Writes into a file that exists, without changing its length. */
export async function writeBytes(file: string, offsetBytes: number, bytes: Uint8Array) {
  const handle = await open(file, 'r+');
  try {
    await handle.write(bytes, 0, bytes.length, offsetBytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function copyRange(
  from: { file: string; offsetBytes: number },
  to: { file: string; offsetBytes: number; flags: 'w' | 'r+' },
  sizeBytes: number,
): Promise<void> {
  const source = await open(from.file, 'r');
  const target = await open(to.file, to.flags);
  try {
    const buffer = Buffer.alloc(COPY_BYTES);
    for (let done = 0; done < sizeBytes; done += COPY_BYTES) {
      const size = Math.min(COPY_BYTES, sizeBytes - done);
      await source.read(buffer, 0, size, from.offsetBytes + done);
      await target.write(buffer, 0, size, to.offsetBytes + done);
    }
    await target.sync();
  } finally {
    await source.close();
    await target.close();
  }
}

/** Copies a partition out of a disk into a new file. */
export async function takePartition(disk: string, number: number, file: string): Promise<void> {
  const { offsetBytes, sizeBytes } = await partition(disk, number);
  await copyRange({ file: disk, offsetBytes }, { file, offsetBytes: 0, flags: 'w' }, sizeBytes);
}

/** Takes a partition out of a disk into a file, lets `change` work on it, and puts it back. */
export async function changePartition(
  disk: string,
  number: number,
  change: (file: string) => Promise<void>,
): Promise<void> {
  const { offsetBytes, sizeBytes } = await partition(disk, number);
  const file = `${disk}.part${number}`;
  try {
    await copyRange({ file: disk, offsetBytes }, { file, offsetBytes: 0, flags: 'w' }, sizeBytes);
    await change(file);
    await copyRange({ file, offsetBytes: 0 }, { file: disk, offsetBytes, flags: 'r+' }, sizeBytes);
  } finally {
    await rm(file, { force: true });
  }
}
