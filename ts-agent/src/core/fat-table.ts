/**
 * The allocation table of a FAT32 file system: for every cluster the next one of its file, 28 bits, 0 for a free one.
 * Functions that change a table return a new one; the caller writes where they differ.
 *
 * Microsoft FAT specification 1.03 (2000), section "FAT Data Structure".
 */
import { type FatShape, FIRST_CLUSTER, isCluster } from './fat-shape.ts';

const ENTRY_BYTES = 4;
/** So many entries of free clusters are compared at once. */
const FREE_STRETCH = Buffer.alloc(1024);
const VALUE_MASK = 0x0fffffff;
const BAD_CLUSTER = 0x0ffffff7;
const END_OF_CHAIN = 0x0fffffff;
const INFO_SIGNATURES = [
  [0, 0x41615252],
  [484, 0x61417272],
] as const;
const INFO_FREE_AT = 488;
const INFO_NEXT_AT = 492;

/** What the table says of a cluster. */
export function tableValue(table: Buffer, cluster: number): number {
  return table.readUInt32LE(cluster * ENTRY_BYTES) & VALUE_MASK;
}

/** At most `max` clusters of a chain: the bound also ends a chain that is a ring. */
export function chainOf(
  table: Buffer,
  shape: FatShape,
  { first, max }: { readonly first: number; readonly max: number },
): number[] {
  const clusters: number[] = [];
  for (let cluster = first; clusters.length < max && isCluster(shape, cluster); ) {
    clusters.push(cluster);
    cluster = tableValue(table, cluster);
  }
  return clusters;
}

/** How many clusters are free. */
export function freeCount(table: Buffer, shape: FatShape): number {
  let count = 0;
  for (const run of freeRuns(table, shape)) count += run.count;
  return count;
}

/** Clusters that are neither free nor marked as bad. */
export function allocated(table: Buffer, shape: FatShape): number[] {
  const found: number[] = [];
  let behindRun = FIRST_CLUSTER;
  const addUpTo = (end: number) => {
    for (let cluster = behindRun; cluster < end; cluster += 1) {
      if (tableValue(table, cluster) !== BAD_CLUSTER) found.push(cluster);
    }
  };
  for (const { first, count } of freeRuns(table, shape)) {
    addUpTo(first);
    behindRun = first + count;
  }
  addUpTo(FIRST_CLUSTER + shape.clusterCount);
  return found;
}

/** `count` free clusters: one behind the other when there is such a run, else the lowest; undefined when too few. */
export function pickFree(table: Buffer, shape: FatShape, count: number): number[] | undefined {
  const free: number[] = [];
  for (const run of freeRuns(table, shape)) {
    const taken = Array.from({ length: Math.min(run.count, count) }, (_, at) => run.first + at);
    if (taken.length === count) return taken;
    free.push(...taken.slice(0, count - free.length));
  }
  return free.length === count ? free : undefined;
}

/** Free clusters side by side, in order. Most of a table is free, and a stretch of zeros is found by one comparison. */
function* freeRuns(
  table: Buffer,
  shape: FatShape,
): Generator<{ readonly first: number; readonly count: number }> {
  const end = FIRST_CLUSTER + shape.clusterCount;
  let first: number | undefined;
  for (let cluster = FIRST_CLUSTER; cluster < end; ) {
    const at = cluster * ENTRY_BYTES;
    const isStretch = at + FREE_STRETCH.length <= end * ENTRY_BYTES;
    if (isStretch && FREE_STRETCH.equals(table.subarray(at, at + FREE_STRETCH.length))) {
      first ??= cluster;
      cluster += FREE_STRETCH.length / ENTRY_BYTES;
      continue;
    }
    const stretchEnd = Math.min(cluster + FREE_STRETCH.length / ENTRY_BYTES, end);
    for (; cluster < stretchEnd; cluster += 1) {
      if (tableValue(table, cluster) === 0) first ??= cluster;
      else if (first !== undefined) {
        yield { first, count: cluster - first };
        first = undefined;
      }
    }
  }
  if (first !== undefined) yield { first, count: end - first };
}

/** The table with `clusters` as one chain. */
export function withChain(table: Buffer, clusters: readonly number[]): Buffer {
  return withValues(
    table,
    clusters.map((cluster, index) => [cluster, clusters[index + 1] ?? END_OF_CHAIN] as const),
  );
}

/** The table with `clusters` free. */
export function withFree(table: Buffer, clusters: Iterable<number>): Buffer {
  return withValues(
    table,
    [...clusters].map((cluster) => [cluster, 0] as const),
  );
}

/** The table with `next` behind the cluster `last`. */
export function withLink(table: Buffer, last: number, next: number): Buffer {
  return withValues(table, [[last, next]]);
}

/** The upper four bits of an entry stay as they are. */
function withValues(table: Buffer, values: readonly (readonly [number, number])[]): Buffer {
  const changed = Buffer.from(table);
  for (const [cluster, value] of values) {
    const reserved = changed.readUInt32LE(cluster * ENTRY_BYTES) & ~VALUE_MASK;
    changed.writeUInt32LE((reserved | value) >>> 0, cluster * ENTRY_BYTES);
  }
  return changed;
}

/** The FSInfo sector for `table`; the same bytes when it is none. Its counts are hints, which others check. */
export function withCounts(info: Buffer, table: Buffer, shape: FatShape): Buffer {
  if (INFO_SIGNATURES.some(([at, signature]) => info.readUInt32LE(at) !== signature)) return info;
  const changed = Buffer.from(info);
  changed.writeUInt32LE(freeCount(table, shape), INFO_FREE_AT);
  changed.writeUInt32LE(pickFree(table, shape, 1)?.[0] ?? 0xffffffff, INFO_NEXT_AT);
  return changed;
}
