/** Files with holes. */
import { open, rm, stat } from 'node:fs/promises';
import type { Extent } from '../core/extent.ts';
import { writeAll } from './synced-file.ts';

const BLOCK_BYTES = 4096;
const READ_BYTES = 1024 * 1024;

/** Writes a file of `sizeBytes` that holds `extents` and is zero, without using room, everywhere else. */
export async function writeSparse(
  path: string,
  content: { readonly sizeBytes: number; readonly extents: readonly Extent[] },
): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.truncate(content.sizeBytes);
    for (const { offset, data } of content.extents) await writeAll(file, data, offset);
  } finally {
    await file.close();
  }
}

/** The parts of a file that are not zero, in whole blocks of 4 KiB, neighbours joined. */
export async function readExtents(path: string): Promise<Extent[]> {
  const file = await open(path, 'r');
  try {
    const extents: { offset: number; data: Buffer }[] = [];
    const zero = Buffer.alloc(BLOCK_BYTES);
    const chunk = Buffer.alloc(READ_BYTES);
    let position = 0;
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, READ_BYTES, position);
      if (bytesRead === 0) return extents;
      for (let at = 0; at < bytesRead; at += BLOCK_BYTES) {
        const block = chunk.subarray(at, Math.min(at + BLOCK_BYTES, bytesRead));
        if (block.equals(zero.subarray(0, block.length))) continue;
        const offset = position + at;
        const last = extents.at(-1);
        const follows = last !== undefined && last.offset + last.data.length === offset;
        if (follows && last.data.length < READ_BYTES) last.data = Buffer.concat([last.data, block]);
        else extents.push({ offset, data: Buffer.from(block) });
      }
      position += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** Copies a file, which keeps its holes. A file at `to` is replaced. */
export async function copySparse(from: string, to: string): Promise<void> {
  const { size } = await stat(from);
  await rm(to, { force: true });
  await writeSparse(to, { sizeBytes: size, extents: await readExtents(from) });
}
