/**
 * Reads what QEMU's blklogwrites wrote down, and repeats it on another disk up to any point.
 *
 *     sector 0   magic, version, number of entries, bytes in a sector
 *     then       sector of entry | its data, in whole sectors | sector of entry | …
 *
 * The format of dm-log-writes: Documentation/admin-guide/device-mapper/log-writes.rst, drivers/md/dm-log-writes.c.
 */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';

const MAGIC = 0x6a_7366_7773_6872n;
const ENTRY_BYTES = 32;
const SECTOR_BYTES = 512;
const FLAG_FLUSH = 1n;
const FLAG_FUA = 2n;
const FLAG_DISCARD = 4n;
/** A log of an update is a few hundred MiB in tens of thousands of writes. */
const ENTRIES_MAX = 5_000_000;
const COPY_BYTES = 1_048_576;

/** One write, or a flush of all before it. */
export interface LoggedWrite {
  readonly kind: 'write' | 'flush' | 'discard';
  /** On the disk. */
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  /** Where its data is in the log. */
  readonly dataAt: number;
}

/** Every entry of a log whose machine is off, in order. @throws Error when it is none */
export async function readWriteLog(path: string): Promise<LoggedWrite[]> {
  const file = await open(path, 'r');
  try {
    const head = await readAt(file, 0, SECTOR_BYTES);
    const sectorBytes = head.readUInt32LE(24);
    if (head.readBigUInt64LE(0) !== MAGIC || sectorBytes !== SECTOR_BYTES) {
      throw new Error(`${path} is no log of writes`);
    }
    const { size } = await file.stat();
    const entries: LoggedWrite[] = [];
    for (let at = SECTOR_BYTES; at + ENTRY_BYTES <= size; ) {
      // The number in the head lags behind when the machine was killed: what is complete counts.
      const entry = await readAt(file, at, ENTRY_BYTES);
      const [sector, sectors, flags] = [0, 8, 16].map((place) => entry.readBigUInt64LE(place));
      if (sector === undefined || sectors === undefined || flags === undefined) break;
      if (sector === 0n && sectors === 0n && flags === 0n) break;
      const sizeBytes = Number(sectors) * SECTOR_BYTES;
      const dataAt = at + SECTOR_BYTES;
      const hasData = (flags & FLAG_DISCARD) === 0n;
      at = dataAt + (hasData ? sizeBytes : 0);
      if (at > size) break;
      const place = { offsetBytes: Number(sector) * SECTOR_BYTES, sizeBytes, dataAt };
      if ((flags & FLAG_DISCARD) !== 0n) entries.push({ kind: 'discard', ...place });
      else if (sizeBytes > 0) entries.push({ kind: 'write', ...place });
      if ((flags & (FLAG_FLUSH | FLAG_FUA)) !== 0n) {
        entries.push({ kind: 'flush', offsetBytes: 0, sizeBytes: 0, dataAt });
      }
      if (entries.length > ENTRIES_MAX) throw new Error(`${path} has too many entries`);
    }
    return entries;
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, at: number, sizeBytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(sizeBytes), 0, sizeBytes, at);
  if (bytesRead !== sizeBytes) throw new Error(`the log ends at ${at + bytesRead}`);
  return buffer;
}

/** Repeats entries of `log` on `disk`, in their order. A discard changes nothing: a disk may do that. */
export async function replay(
  log: string,
  disk: string,
  entries: readonly LoggedWrite[],
): Promise<void> {
  const [source, target] = [await open(log, 'r'), await open(disk, 'r+')];
  try {
    for (const { kind, offsetBytes, sizeBytes, dataAt } of entries) {
      if (kind !== 'write') continue;
      for (let done = 0; done < sizeBytes; done += COPY_BYTES) {
        const data = await readAt(source, dataAt + done, Math.min(COPY_BYTES, sizeBytes - done));
        await target.write(data, 0, data.length, offsetBytes + done);
      }
    }
  } finally {
    await source.close();
    await target.close();
  }
}
