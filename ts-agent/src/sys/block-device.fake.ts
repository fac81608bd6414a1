/** A disk in memory that notes what was done to it, and can fail. */
import type { BlockDevice } from './block-device.ts';

/** A fake device. */
export interface FakeBlockDevice extends BlockDevice {
  /** What a read gives. */
  readonly bytes: Buffer;
  /** Writes with their place, flushes and drops, in order. */
  readonly calls: { kind: 'write' | 'flush' | 'drop'; offsetBytes: number; lengthBytes: number }[];
  /** Error of every call from the n-th write or flush on; undefined: none fails. */
  failAfter: number | undefined;
  isClosed: boolean;
}

/** A device with these bytes, which writes change. */
export function createFakeBlockDevice(bytes: Buffer): FakeBlockDevice {
  const device: FakeBlockDevice = {
    bytes,
    calls: [],
    failAfter: undefined,
    isClosed: false,
    sizeBytes: bytes.length,
    async readAt(offsetBytes, lengthBytes) {
      open();
      if (offsetBytes < 0 || offsetBytes + lengthBytes > bytes.length) throw ioError('read');
      return Buffer.from(bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
    },
    async writeAt(offsetBytes, data) {
      note('write', offsetBytes, data.length);
      if (offsetBytes < 0 || offsetBytes + data.length > bytes.length) throw ioError('write');
      bytes.set(data, offsetBytes);
    },
    async flush() {
      note('flush', 0, 0);
    },
    async dropCache() {
      device.calls.push({ kind: 'drop', offsetBytes: 0, lengthBytes: 0 });
    },
    async close() {
      device.isClosed = true;
    },
  };
  function open(): void {
    if (device.isClosed) throw new TypeError('the device is closed');
  }
  function note(kind: 'write' | 'flush', offsetBytes: number, lengthBytes: number): void {
    open();
    const done = device.calls.filter((call) => call.kind !== 'drop').length;
    if (device.failAfter !== undefined && done >= device.failAfter) throw ioError(kind);
    device.calls.push({ kind, offsetBytes, lengthBytes });
  }
  return device;
}

function ioError(what: string): Error {
  return Object.assign(new Error(`EIO: i/o error, ${what}`), { code: 'EIO' });
}
