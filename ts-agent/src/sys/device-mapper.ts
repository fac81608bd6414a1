/**
 * What lies under a device-mapper device: ioctl DM_TABLE_STATUS on /dev/mapper/control (linux/dm-ioctl.h).
 *
 *     struct dm_ioctl: 0 version[3] | 12 data_size | 16 data_start | 20 target_count | 28 flags | 40 dev (u64) | 312 end
 *     struct dm_target_spec at data_start: 0 sector_start | 8 length | 16 status | 20 next | 24 target_type[16]
 */
import { closeSync, openSync } from 'node:fs';

/** The port: type of the first target of device `major`:`minor`, for example "verity"; empty when it cannot be told. */
export type TargetOf = (device: {
  readonly major: number;
  readonly minor: number;
}) => Promise<string>;

const CONTROL = '/dev/mapper/control';
/** _IOWR(0xfd, 12, struct dm_ioctl) */
const DM_TABLE_STATUS = 0xc138fd0c;
const HEADER_BYTES = 312;
const BUFFER_BYTES = 4_096;
const DATA_SIZE_AT = 12;
const DATA_START_AT = 16;
const DEVICE_AT = 40;
const TARGET_TYPE_AT = 24;
const TARGET_TYPE_BYTES = 16;

/** Asks the kernel. koffi is loaded on the first call only: nothing else here needs it. */
export const deviceMapperTarget: TargetOf = async ({ major, minor }) => {
  try {
    const { default: koffi } = await import('koffi');
    const ioctl = koffi
      .load('libc.so.6')
      .func('int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)');
    const control = openSync(CONTROL, 'r+');
    try {
      const argument = Buffer.alloc(BUFFER_BYTES);
      argument.writeUInt32LE(4, 0);
      argument.writeUInt32LE(BUFFER_BYTES, DATA_SIZE_AT);
      argument.writeUInt32LE(HEADER_BYTES, DATA_START_AT);
      // new_encode_dev of linux/kdev_t.h
      argument.writeBigUInt64LE(
        BigInt((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)),
        DEVICE_AT,
      );
      if (ioctl(control, DM_TABLE_STATUS, argument) !== 0) return '';
      const start = argument.readUInt32LE(DATA_START_AT) + TARGET_TYPE_AT;
      const name = argument.toString('latin1', start, start + TARGET_TYPE_BYTES);
      return name.split('\0')[0] ?? '';
    } finally {
      closeSync(control);
    }
  } catch {
    // No device mapper in this kernel, or no right to ask: the check on the root says what follows from it.
    return '';
  }
};
