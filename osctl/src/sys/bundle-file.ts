/** A bundle that lies on this machine, read in any order. */
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';

/** An open bundle. */
export interface BundleFile {
  /** Its name without folders. */
  readonly name: string;
  readonly sizeBytes: number;
  /**
   * `sizeBytes` bytes from `offsetBytes`.
   *
   * @throws KeelError E_SOURCE_CHANGED when the file ends before them.
   */
  read(offsetBytes: number, sizeBytes: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

async function readAt(
  handle: FileHandle,
  { path, offsetBytes, sizeBytes }: { path: string; offsetBytes: number; sizeBytes: number },
): Promise<Uint8Array> {
  const bytes = new Uint8Array(sizeBytes);
  let doneBytes = 0;
  while (doneBytes < sizeBytes) {
    const { bytesRead } = await handle.read(
      bytes,
      doneBytes,
      sizeBytes - doneBytes,
      offsetBytes + doneBytes,
    );
    if (bytesRead === 0) {
      throw new KeelError(
        'E_SOURCE_CHANGED',
        `Cannot read ${path}: it ended at byte ${offsetBytes + doneBytes}, and was longer before`,
        { hint: 'Try again when the file is in its final form.' },
      );
    }
    doneBytes += bytesRead;
  }
  return bytes;
}

/**
 * Opens the file at `path`.
 *
 * @throws KeelError E_INVALID_ARGUMENT when it cannot be read, or is no ordinary file.
 */
export async function openBundleFile(path: string): Promise<BundleFile> {
  const refuse = (reason: string, cause?: unknown) =>
    new KeelError('E_INVALID_ARGUMENT', `Cannot read the bundle ${path}: ${reason}`, {
      cause,
      hint: 'Give the path of a bundle on this machine, or an http:// or https:// URL.',
    });
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw refuse(code === 'ENOENT' ? 'there is no such file' : message, cause);
  }
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw refuse('it is not an ordinary file');
    if (found.size === 0) throw refuse('it is empty');
    return {
      name: basename(path),
      sizeBytes: found.size,
      read: (offsetBytes, sizeBytes) => readAt(handle, { path, offsetBytes, sizeBytes }),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
