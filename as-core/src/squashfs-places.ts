/** Which part of an image some bytes belong to. */
import type { SquashfsInstance } from './squashfs-instance.ts';
import { NONE, readSuperblockRecord } from './squashfs-records.ts';
import type { Found } from './squashfs-walk.ts';

const NO_TABLE = 0xffffffffffffffffn;
const SUPERBLOCK_BYTES = 96;
const METADATA_BYTES = 8192;
const PADDED_BYTES = 4096;

/** Some bytes of an image. */
export interface Place {
  /** Parts that they belong to so far. */
  readonly names: string[];
  /** Whether they are data of files: `belongs` tells of which. */
  readonly isData: boolean;
  /** Whether they hold data of the thing that the walk has just found. */
  belongs(found: Found): boolean;
}

/** Looks which tables are in a range. */
export function partsIn(
  instance: SquashfsInstance,
  range: { readonly offset: number; readonly spanBytes: number },
): Place {
  const start = BigInt(range.offset);
  const end = start + BigInt(range.spanBytes);
  let from = 0n;
  const names: string[] = [];
  let isData = false;
  for (const [name, to] of parts(instance)) {
    if (to > from && start < to && from < end) {
      if (name === 'data') isData = true;
      else names.push(`[${name}]`);
    }
    if (to > from) from = to;
  }
  const fragments = isData ? fragmentsIn(instance, { start, end }) : [];
  const belongs = ({ record }: Found) => {
    if (record.type !== 'file') return false;
    if (record.fragment !== NONE && fragments.includes(record.fragment)) return true;
    return coversRange(instance, { start, length: end - start });
  };
  return { names, isData, belongs };
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

function fragmentsIn(
  instance: SquashfsInstance,
  { start, end }: { readonly start: bigint; readonly end: bigint },
): number[] {
  const found: number[] = [];
  const count = instance.exports.fragmentBlocks() >>> 0;
  for (let index = 0; index < count; index++) {
    instance.run('read a fragment', (exports) => exports.findFragmentBlock(index));
    const from = instance.exports.fragmentPlace();
    const to = from + BigInt(instance.exports.fragmentBytesStored() >>> 0);
    if (start < to && from < end) found.push(index);
  }
  return found;
}

function coversRange(
  instance: SquashfsInstance,
  { start, length }: { readonly start: bigint; readonly length: bigint },
): boolean {
  let isCovered = false;
  instance.run('look for a byte', (exports) => {
    const answer = exports.inodeCovers(start, length, NONE);
    isCovered = answer === 1;
    return answer < 0 ? -answer : 0;
  });
  return isCovered;
}
