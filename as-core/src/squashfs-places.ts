/** Which part of an image some bytes belong to. */
import type { SquashfsInstance } from './squashfs-instance.ts';
import { NONE, readSuperblockRecord } from './squashfs-records.ts';
import type { Found } from './squashfs-walk.ts';
import { expectOk, Status } from './status.ts';

const ACTION = 'find what lies at a byte';
const NO_TABLE = 0xffffffffffffffffn;
const SUPERBLOCK_BYTES = 96;
const METADATA_BYTES = 8192;
const PADDED_BYTES = 4096;

/** Names that are given for one place. */
export const NAMES_MAX = 64;
/** Most blocks that are looked at for one question. */
const BLOCKS_MAX = 1 << 26;

/** Some bytes of an image. */
export class Place {
  /** Parts that they belong to so far, at most {@link NAMES_MAX}. */
  readonly names: string[] = [];
  /** Whether they are data of files, which {@link nameFiles} names. */
  readonly isData: boolean;
  readonly #start: bigint;
  readonly #end: bigint;
  readonly #fragments: readonly number[];

  /** Looks which tables are in the range. */
  constructor(
    instance: SquashfsInstance,
    range: { readonly offset: number; readonly spanBytes: number },
  ) {
    this.#start = BigInt(range.offset);
    this.#end = this.#start + BigInt(range.spanBytes);
    let from = 0n;
    let isData = false;
    for (const [name, to] of parts(instance)) {
      if (to > from && this.meets(from, to)) {
        if (name === 'data') isData = true;
        else this.names.push(`[${name}]`);
      }
      if (to > from) from = to;
    }
    this.isData = isData;
    this.#fragments = isData ? fragmentsIn(instance, this) : [];
  }

  /** Whether it has a byte of a range. */
  meets(from: bigint, to: bigint): boolean {
    return this.#start < to && from < this.#end;
  }

  /** Whether it has a byte of a fragment block. */
  hasFragment(index: number): boolean {
    return this.#fragments.includes(index);
  }
}

/** Gives the places the names of the files whose data they hold. */
export function nameFiles(
  instance: SquashfsInstance,
  { places, files }: { readonly places: readonly Place[]; readonly files: Iterable<Found> },
): void {
  let blocks = 0;
  for (const { path, record } of files) {
    if (record.type !== 'file') continue;
    blocks += record.blocks;
    if (blocks > BLOCKS_MAX) expectOk(Status.squashfsTooMuchWork, ACTION);
    instance.run(ACTION, (exports) => exports.measureContent());
    const end = record.start + instance.exports.fileBytesStored();
    for (const place of places) {
      const hasTail = record.fragment !== NONE && place.hasFragment(record.fragment);
      const isHere = hasTail || (end > record.start && place.meets(record.start, end));
      if (isHere && place.names.length < NAMES_MAX) place.names.push(path.toString('utf8'));
    }
  }
}

/** The parts of an image with their ends, in order; one that is not there ends where it begins. */
function parts(instance: SquashfsInstance): [string, bigint][] {
  const { exports } = instance;
  const end = (part: number) => exports.partEnd(part);
  const { usedBytes, fragments, inodes, ids } = readSuperblockRecord(
    instance.view(exports.superblockPointer(), SUPERBLOCK_BYTES),
  );
  // A table is its blocks and then the pointers to them, which the superblock points to.
  const table = (name: string, pointers: bigint, bytes: number): [string, bigint] => {
    const isThere = bytes > 0 && pointers !== NO_TABLE;
    return [name, isThere ? pointers + BigInt(Math.ceil(bytes / METADATA_BYTES) * 8) : 0n];
  };
  return [
    ['superblock', BigInt(SUPERBLOCK_BYTES)],
    ['compressor options', end(0)],
    ['data', end(1)],
    ['inode table', end(2)],
    ['directory table', end(3)],
    table('fragment table', exports.fragmentPointers(), fragments * 16),
    table('export table', exports.exportPointers(), inodes * 8),
    table('id table', exports.idPointers(), ids * 4),
    ['attribute table', end(4)],
    ['padding', BigInt(Math.ceil(usedBytes / PADDED_BYTES) * PADDED_BYTES)],
  ];
}

function fragmentsIn(instance: SquashfsInstance, place: Place): number[] {
  const found: number[] = [];
  const count = instance.exports.fragmentBlocks() >>> 0;
  for (let index = 0; index < count; index++) {
    instance.run(ACTION, (exports) => exports.findFragmentBlock(index));
    const from = instance.exports.fragmentPlace();
    const to = from + BigInt(instance.exports.fragmentBytesStored() >>> 0);
    if (place.meets(from, to)) found.push(index);
  }
  return found;
}
