/**
 * Block devices: what the kernel knows of them, raw bytes, and growing.
 */
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { addressOf, checked, inBackground, libcFunction, SystemCallError } from './native.ts';

/** A partition's place on its disk. */
export interface PartitionPlace {
  readonly partitionNumber: number;
  readonly startBytes: number;
  readonly lengthBytes: number;
}

/** Raw access to block devices by path, and to mounted file systems. */
export interface BlockDevices {
  read(device: string, range: { offsetBytes: number; lengthBytes: number }): Buffer;
  /** Reads on the thread pool: a disk that hangs does not hang PID 1. Fewer bytes only at the end. */
  readInBackground(
    device: string,
    range: { offsetBytes: number; lengthBytes: number },
  ): Promise<Buffer>;
  /** Writes and flushes. */
  write(device: string, data: { offsetBytes: number; bytes: Uint8Array }): void;
  /** Tells the kernel that a partition, in use or not, has another length (BLKPG_RESIZE_PARTITION). */
  resizePartition(disk: string, place: PartitionPlace): void;
  /** Grows the ext4 file system mounted at `mountPoint` (EXT4_IOC_RESIZE_FS), on another thread. */
  growExt4(mountPoint: string, blocks: number): Promise<void>;
}

/** _IO(0x12, 105). */
const BLKPG = 0x1269;
const BLKPG_RESIZE_PARTITION = 3;
/** _IOW('f', 16, u64). */
const EXT4_IOC_RESIZE_FS = 0x40086610;
/** struct blkpg_partition: start, length, number, then two names of 64 bytes, padded to 8. */
const BLKPG_PARTITION_BYTES = 152;
const BLKPG_ARGUMENT_BYTES = 24;

const ioctl = libcFunction('int ioctl(int descriptor, unsigned long request, void *argument)');

/** Block devices of the running system. */
export const linuxBlockDevices: BlockDevices = {
  read(device, { offsetBytes, lengthBytes }) {
    return withDevice(device, 'r', (descriptor) => {
      const bytes = Buffer.alloc(lengthBytes);
      const got = readSync(descriptor, bytes, 0, lengthBytes, offsetBytes);
      return bytes.subarray(0, got);
    });
  },
  async readInBackground(device, { offsetBytes, lengthBytes }) {
    await using file = await open(device, 'r');
    const bytes = Buffer.alloc(lengthBytes);
    const { bytesRead } = await file.read(bytes, 0, lengthBytes, offsetBytes);
    return bytes.subarray(0, bytesRead);
  },
  write(device, { offsetBytes, bytes }) {
    withDevice(device, 'r+', (descriptor) => {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(descriptor, bytes, done, bytes.length - done, offsetBytes + done);
      }
      fsyncSync(descriptor);
    });
  },
  resizePartition(disk, place) {
    const partition = Buffer.alloc(BLKPG_PARTITION_BYTES);
    partition.writeBigInt64LE(BigInt(place.startBytes), 0);
    partition.writeBigInt64LE(BigInt(place.lengthBytes), 8);
    partition.writeInt32LE(place.partitionNumber, 16);
    // struct blkpg_ioctl_arg: op, flags, length, then the address of the above.
    const argument = Buffer.alloc(BLKPG_ARGUMENT_BYTES);
    argument.writeInt32LE(BLKPG_RESIZE_PARTITION, 0);
    argument.writeInt32LE(partition.length, 8);
    argument.writeBigUInt64LE(addressOf(partition), 16);
    withDevice(disk, 'r+', (descriptor) => {
      checked('resize partition', ioctl()(descriptor, BLKPG, argument));
    });
  },
  async growExt4(mountPoint, blocks) {
    const argument = Buffer.alloc(8);
    argument.writeBigUInt64LE(BigInt(blocks));
    const descriptor = openSync(mountPoint, 'r');
    try {
      if (await inBackground(ioctl(), descriptor, EXT4_IOC_RESIZE_FS, argument)) return;
      // errno does not survive the other thread, and asking again would do a half-done growth again on this one.
      throw new SystemCallError('grow file system', 'refused, the kernel log says why');
    } finally {
      closeSync(descriptor);
    }
  },
};

function withDevice<T>(path: string, flags: 'r' | 'r+', use: (descriptor: number) => T): T {
  const descriptor = openSync(path, flags);
  try {
    return use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
