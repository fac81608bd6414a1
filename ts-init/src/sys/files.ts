/**
 * Small files, mostly synchronously: PID 1 reads and writes few, and most of them belong to the kernel.
 */
import {
  chmodSync,
  close,
  closeSync,
  constants,
  existsSync,
  fchmod,
  fchmodSync,
  fsync,
  fsyncSync,
  mkdirSync,
  open,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rename,
  renameSync,
  rmSync,
  write,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

/** How a file is replaced. */
export interface ReplaceOptions {
  readonly mode: number;
  /** Flush file and folder to the disk; not needed on tmpfs. */
  readonly durable: boolean;
}

/** Access to files. Everything but `exists` throws Node's own errors, with `code`. */
export interface Files {
  exists(path: string): boolean;
  readText(path: string): string;
  readBytes(path: string): Buffer;
  /** Names in a folder; empty when there is no such folder. */
  list(path: string): readonly string[];
  /** Target of a symbolic link. */
  readLink(path: string): string;
  /** Writes to a file that exists, in one write(2), without truncating: for files of the kernel. */
  writeKernelFile(path: string, value: string | Uint8Array): void;
  /** Replaces a file as a whole: temporary file, rename. */
  replace(path: string, content: string | Uint8Array, options: ReplaceOptions): void;
  /**
   * Replaces a file as a whole and flushes it to the disk, on the thread pool: a disk that hangs does not hang PID 1.
   * Whoever writes a file twice waits for the first to settle.
   */
  replaceDurably(path: string, content: string | Uint8Array, mode: number): Promise<void>;
  /** Makes a folder; sets the mode also when it is there. */
  makeDirectory(path: string, mode: number): void;
  /** Removes a file; fine when there is none. */
  remove(path: string): void;
}

/** Files of the running system. */
export const linuxFiles: Files = {
  exists: existsSync,
  readText: (path) => readFileSync(path, 'utf8'),
  readBytes: (path) => readFileSync(path),
  list: (path) => (existsSync(path) ? readdirSync(path).sort() : []),
  readLink: (path) => readlinkSync(path),
  writeKernelFile(path, value) {
    const descriptor = openSync(path, constants.O_WRONLY);
    try {
      writeWhole(descriptor, value);
    } finally {
      closeSync(descriptor);
    }
  },
  replace(path, content, options) {
    const temporary = `${path}.new`;
    const descriptor = openSync(temporary, 'w', options.mode);
    try {
      fchmodSync(descriptor, options.mode);
      writeWhole(descriptor, content);
      if (options.durable) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
    if (options.durable) flushDirectory(dirname(path));
  },
  async replaceDurably(path, content, mode) {
    const temporary = `${path}.new`;
    await withFile(temporary, { flags: 'w', mode }, async (descriptor) => {
      await promisify(fchmod)(descriptor, mode);
      const bytes = bytesOf(content);
      const { bytesWritten } = await promisify(write)(descriptor, bytes, 0, bytes.length, null);
      requireWhole(bytesWritten, bytes);
      await promisify(fsync)(descriptor);
    });
    await promisify(rename)(temporary, path);
    await withFile(dirname(path), { flags: 'r', mode: 0 }, (folder) => promisify(fsync)(folder));
  },
  makeDirectory(path, mode) {
    mkdirSync(path, { recursive: true, mode });
    chmodSync(path, mode);
  },
  remove: (path) => rmSync(path, { force: true }),
};

function writeWhole(descriptor: number, content: string | Uint8Array): void {
  const bytes = bytesOf(content);
  requireWhole(writeSync(descriptor, bytes), bytes);
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
}

function requireWhole(written: number, bytes: Uint8Array): void {
  if (written === bytes.length) return;
  throw Object.assign(new Error(`Cannot write: ${written} of ${bytes.length} bytes`), {
    code: 'ENOSPC',
  });
}

async function withFile(
  path: string,
  how: { readonly flags: 'r' | 'w'; readonly mode: number },
  use: (descriptor: number) => Promise<void>,
): Promise<void> {
  const descriptor = await promisify(open)(path, how.flags, how.mode);
  try {
    await use(descriptor);
  } finally {
    await promisify(close)(descriptor);
  }
}

function flushDirectory(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
