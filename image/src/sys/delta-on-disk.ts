/** Deltas on disk. */
import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { DeltaFile } from '@keelos/as-core/delta-file.ts';
import { FOOTER_BYTES } from '@keelos/proto/bundle.ts';
import { DELTA_MAGIC } from '@keelos/proto/delta.ts';
import { KeelError } from '@keelos/proto/errors.ts';

/** Whether a file ends with the footer of a delta. */
export async function hasDeltaFooter(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  if (size < FOOTER_BYTES) return false;
  const name = Buffer.alloc(DELTA_MAGIC.length);
  await file.read(name, 0, name.length, size - FOOTER_BYTES);
  return name.toString('latin1') === DELTA_MAGIC;
}

/**
 * The delta in an open file, which stays open as long as the delta is read.
 *
 * @throws KeelError E_DELTA_…
 */
export async function openDelta(file: FileHandle): Promise<DeltaFile> {
  const sizeBytes = (await file.stat()).size;
  const read = (offset: number, target: Uint8Array) => {
    for (let done = 0; done < target.length; ) {
      const count = readSync(file.fd, target, done, target.length - done, offset + done);
      if (count === 0) {
        throw new KeelError('E_DELTA_DAMAGED', `Cannot read delta: it ends at ${offset + done}`);
      }
      done += count;
    }
  };
  return DeltaFile.open({ sizeBytes, read });
}
