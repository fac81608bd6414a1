/** Reading of /proc, /sys and /etc, and of what file systems say of themselves. */
import { lstat, open, readdir, readFile, readlink, statfs } from 'node:fs/promises';

/** Largest text file that is read: /proc/mounts of a node with a thousand pods stays below. */
export const TEXT_BYTES_MAX = 4 * 1_048_576;

/** Room of a file system. */
export interface Room {
  readonly sizeBytes: number;
  readonly availableBytes: number;
  readonly inodes: number;
  readonly freeInodes: number;
}

/** The port. Everything answers undefined, or an empty list, for what is not there. */
export interface KernelFiles {
  readText(path: string): Promise<string | undefined>;
  list(directory: string): Promise<readonly string[]>;
  linkTarget(path: string): Promise<string | undefined>;
  /** Bytes of a file or device, fewer at its end. @throws the error of the read, which is the news here */
  readAt(
    path: string,
    range: { readonly offsetBytes: number; readonly lengthBytes: number },
  ): Promise<Uint8Array>;
  room(mountPoint: string): Promise<Room | undefined>;
  exists(path: string): Promise<boolean>;
}

const absent = (): undefined => undefined;

/** The files of this machine. */
export const linuxKernelFiles: KernelFiles = {
  async readText(path) {
    const text = await readFile(path, 'utf8').catch(absent);
    return text?.slice(0, TEXT_BYTES_MAX);
  },
  list: (directory) => readdir(directory).catch(() => []),
  linkTarget: (path) => readlink(path).catch(absent),
  async readAt(path, { offsetBytes, lengthBytes }) {
    await using file = await open(path, 'r');
    const bytes = Buffer.alloc(lengthBytes);
    const { bytesRead } = await file.read(bytes, 0, lengthBytes, offsetBytes);
    return bytes.subarray(0, bytesRead);
  },
  async room(mountPoint) {
    const facts = await statfs(mountPoint).catch(absent);
    if (facts === undefined) return undefined;
    return {
      sizeBytes: facts.blocks * facts.bsize,
      availableBytes: facts.bavail * facts.bsize,
      inodes: facts.files,
      freeInodes: facts.ffree,
    };
  },
  exists: (path) =>
    lstat(path).then(
      () => true,
      () => false,
    ),
};
