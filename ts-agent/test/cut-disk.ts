/** A device that remembers every write and flush, and what a power cut at any of them can leave on the medium. */
import type { BlockDevice } from '@keelos/ts-agent/sys/block-device.ts';

const SECTOR_BYTES = 512;

/** Sectors that differ from the bytes below, by number. */
export type Sectors = ReadonlyMap<number, Buffer>;

interface Write {
  readonly sector: number;
  readonly bytes: Buffer;
}
/** Sectors of one write, or a flush. */
export type Call = readonly Write[] | 'flush';

/** A device over bytes that it does not change. */
export class OverlayDisk implements BlockDevice {
  readonly sizeBytes: number;
  readonly base: Buffer;
  readonly sectors: Map<number, Buffer>;
  readonly calls: Call[] = [];

  constructor(base: Buffer, sectors: Sectors = new Map()) {
    this.base = base;
    this.sizeBytes = base.length;
    this.sectors = new Map(sectors);
  }

  async readAt(offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    if (offsetBytes + lengthBytes > this.sizeBytes) throw new RangeError('past the end');
    const bytes = Buffer.from(this.base.subarray(offsetBytes, offsetBytes + lengthBytes));
    const first = Math.floor(offsetBytes / SECTOR_BYTES);
    const last = Math.ceil((offsetBytes + lengthBytes) / SECTOR_BYTES);
    for (let sector = first; sector < last && this.sectors.size > 0; sector += 1) {
      const own = this.sectors.get(sector);
      const at = sector * SECTOR_BYTES - offsetBytes;
      if (own !== undefined)
        bytes.set(own.subarray(Math.max(0, -at), lengthBytes - at), Math.max(0, at));
    }
    return bytes;
  }

  async writeAt(offsetBytes: number, bytes: Uint8Array): Promise<void> {
    if (offsetBytes + bytes.length > this.sizeBytes) throw new RangeError('past the end');
    if (offsetBytes % SECTOR_BYTES !== 0 || bytes.length % SECTOR_BYTES !== 0) {
      throw new TypeError(`a write of ${bytes.length} bytes at ${offsetBytes}: not whole sectors`);
    }
    const writes: Write[] = [];
    for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
      const sector = (offsetBytes + at) / SECTOR_BYTES;
      writes.push({ sector, bytes: Buffer.from(bytes.subarray(at, at + SECTOR_BYTES)) });
    }
    for (const { sector, bytes: content } of writes) this.sectors.set(sector, content);
    this.calls.push(writes);
  }

  async flush(): Promise<void> {
    this.calls.push('flush');
  }

  /** All bytes as they are. */
  whole(): Buffer {
    const bytes = Buffer.from(this.base);
    for (const [sector, content] of this.sectors) bytes.set(content, sector * SECTOR_BYTES);
    return bytes;
  }

  async dropCache(): Promise<void> {}

  async close(): Promise<void> {}
}

/** What a cut can leave. */
export interface CutState {
  readonly sectors: Sectors;
  /** For messages. */
  readonly name: string;
  /** The cut came after the last call: everything was done. */
  readonly isDone: boolean;
}

/**
 * Every state that a cut can leave: at each call what was flushed, and of the rest none, all, single sectors, all but
 * single ones, and some by `random` (0 to 1).
 *
 * @param before sectors before the first of `calls`
 */
export function* cutStates(
  before: Sectors,
  calls: readonly Call[],
  random: () => number,
): Generator<CutState> {
  const flushed = new Map(before);
  let waiting: Write[] = [];
  for (const [index, call] of calls.entries()) {
    if (call === 'flush') {
      for (const { sector, bytes } of waiting) flushed.set(sector, bytes);
      waiting = [];
      const isDone = index === calls.length - 1;
      yield { sectors: new Map(flushed), name: `flushed at ${index}`, isDone };
      continue;
    }
    waiting.push(...call);
    for (const [name, survives] of choices(waiting.length, random)) {
      const sectors = new Map(flushed);
      for (const [at, write] of waiting.entries()) {
        if (survives(at)) sectors.set(write.sector, write.bytes);
      }
      yield { sectors, name: `call ${index}, ${name} of ${waiting.length} sectors`, isDone: false };
    }
  }
}

/** Sectors that are tried alone. */
const ALONE_MAX = 4;

function choices(count: number, random: () => number): [string, (at: number) => boolean][] {
  const picked = Array.from({ length: Math.min(count, ALONE_MAX) }, (_, index) =>
    count <= ALONE_MAX ? index : Math.floor(random() * count),
  );
  const some = new Set(Array.from({ length: count }, (_, at) => at).filter(() => random() < 0.5));
  return [
    ['none', () => false],
    ['all', () => true],
    ['some', (at) => some.has(at)],
    ...picked.flatMap((one): [string, (at: number) => boolean][] => [
      [`only ${one}`, (at) => at === one],
      [`all but ${one}`, (at) => at !== one],
    ]),
  ];
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
