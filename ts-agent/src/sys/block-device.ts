/** Block devices that an update writes to: partitions and the whole disk. */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { SECTOR_BYTES } from '@keelos/proto/gpt.ts';

/** The port. A crash test gives a simulated disk that knows what was flushed. */
export interface BlockDevice {
  readonly sizeBytes: number;
  /** Exactly `lengthBytes` bytes. @throws the error of the read; a read past the end fails too */
  readAt(offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  /** Not durable before {@link BlockDevice.flush}. Sectors of 512 bytes are written whole or not at all. */
  writeAt(offsetBytes: number, bytes: Uint8Array): Promise<void>;
  /** Returns when everything that was written is on the medium. */
  flush(): Promise<void>;
  /** Forgets what the page cache holds, so that the next read comes from the medium. */
  dropCache(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a device by its path, for example "/dev/vda1". */
export type OpenBlockDevice = (path: string, mode: 'read' | 'write') => Promise<BlockDevice>;

/** _IO(0x12, 97) of linux/fs.h: writes back and drops the page cache of a block device. */
const BLKFLSBUF = 0x1261;

/** Devices of this machine. A regular file is one too, whose cache is not dropped. */
export const openBlockDevice: OpenBlockDevice = async (path, mode) => {
  const file = await open(path, mode === 'read' ? 'r' : 'r+');
  try {
    const facts = await file.stat();
    const isDevice = facts.isBlockDevice();
    const sizeBytes = isDevice ? await deviceBytes(path) : facts.size;
    return new LinuxBlockDevice(file, sizeBytes, isDevice);
  } catch (cause) {
    await file.close();
    throw cause;
  }
};

async function deviceBytes(path: string): Promise<number> {
  const sectors = Number(await readFile(`/sys/class/block/${basename(path)}/size`, 'utf8'));
  if (!Number.isSafeInteger(sectors)) throw new RangeError(`Cannot open ${path}: no size`);
  return sectors * SECTOR_BYTES;
}

class LinuxBlockDevice implements BlockDevice {
  readonly sizeBytes: number;
  readonly #file: FileHandle;
  readonly #isDevice: boolean;

  constructor(file: FileHandle, sizeBytes: number, isDevice: boolean) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
    this.#isDevice = isDevice;
  }

  async readAt(offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafe(lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const rest = lengthBytes - done;
      const { bytesRead } = await this.#file.read(bytes, done, rest, offsetBytes + done);
      if (bytesRead === 0) throw new RangeError(`a read of ${lengthBytes} bytes past the end`);
      done += bytesRead;
    }
    return bytes;
  }

  async writeAt(offsetBytes: number, bytes: Uint8Array): Promise<void> {
    if (offsetBytes + bytes.length > this.sizeBytes) {
      throw new RangeError(`a write of ${bytes.length} bytes past the end`);
    }
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.length - done;
      const { bytesWritten } = await this.#file.write(bytes, done, rest, offsetBytes + done);
      done += bytesWritten;
    }
  }

  /** fdatasync(2) of a block device writes its pages and flushes the cache of the disk (blkdev_fsync). */
  async flush(): Promise<void> {
    await this.#file.datasync();
  }

  async dropCache(): Promise<void> {
    await this.#file.datasync();
    if (!this.#isDevice) return;
    // Loaded here, and by then in memory: the health check of the root asks the device mapper through it.
    const { default: koffi } = await import('koffi');
    const ioctl = koffi
      .load('libc.so.6')
      .func('int ioctl(int fd, unsigned long request, unsigned long argument)');
    if (ioctl(this.#file.fd, BLKFLSBUF, 0) !== 0) {
      throw new Error('the kernel does not drop what it has of the device');
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
