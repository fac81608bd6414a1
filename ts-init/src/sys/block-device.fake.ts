/**
 * A disk in memory.
 */
import type { BlockDevices } from './block-device.ts';

/** A fake that shows what was done. */
export interface FakeBlockDevices extends BlockDevices {
  /** Bytes by device path; writes change them. */
  readonly devices: Map<string, Buffer>;
  /** For example "write /dev/vda 0+4096", "resize /dev/vda 4 at 1048576 by 4096", "grow /var to 100". */
  readonly calls: string[];
  /** Devices that hang: reading them in the background never ends. */
  readonly stuck: Set<string>;
}

/** Disks with these contents. */
export function createFakeBlockDevices(
  initial: Readonly<Record<string, Buffer>> = {},
): FakeBlockDevices {
  const devices = new Map(Object.entries(initial));
  const calls: string[] = [];
  const stuck = new Set<string>();
  const find = (device: string): Buffer => {
    const bytes = devices.get(device);
    if (bytes === undefined)
      throw Object.assign(new Error(`ENOENT: ${device}`), { code: 'ENOENT' });
    return bytes;
  };
  return {
    devices,
    calls,
    stuck,
    read: (device, { offsetBytes, lengthBytes }) =>
      Buffer.from(find(device).subarray(offsetBytes, offsetBytes + lengthBytes)),
    async readInBackground(device, { offsetBytes, lengthBytes }) {
      if (stuck.has(device)) await new Promise(() => {});
      return Buffer.from(find(device).subarray(offsetBytes, offsetBytes + lengthBytes));
    },
    write(device, { offsetBytes, bytes }) {
      calls.push(`write ${device} ${offsetBytes}+${bytes.length}`);
      find(device).set(bytes, offsetBytes);
    },
    resizePartition(disk, place) {
      const { partitionNumber, startBytes, lengthBytes } = place;
      calls.push(`resize ${disk} ${partitionNumber} at ${startBytes} by ${lengthBytes}`);
    },
    async growExt4(mountPoint, blocks) {
      calls.push(`grow ${mountPoint} to ${blocks}`);
    },
  };
}
