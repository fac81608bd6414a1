/** Which sectors make one content of a table or directory out of another. */

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

/** Bytes for a place on the partition. */
export interface SectorWrite {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

/**
 * Sectors in which `after` differs from `before`; those side by side are one write.
 *
 * @param placeOf where byte `at` of the content lies on the partition
 */
export function changedSectors(
  before: Buffer,
  after: Buffer,
  placeOf: (at: number) => number,
): SectorWrite[] {
  const writes: { offsetBytes: number; from: number; to: number }[] = [];
  for (let at = 0; at < after.length; at += SECTOR_BYTES) {
    const to = Math.min(at + SECTOR_BYTES, after.length);
    if (before.subarray(at, to).equals(after.subarray(at, to))) continue;
    const offsetBytes = placeOf(at);
    const last = writes.at(-1);
    const isNext = last?.to === at && last.offsetBytes + (last.to - last.from) === offsetBytes;
    if (last !== undefined && isNext) last.to = to;
    else writes.push({ offsetBytes, from: at, to });
  }
  return writes.map(({ offsetBytes, from, to }) => ({
    offsetBytes,
    bytes: after.subarray(from, to),
  }));
}

/** Clusters that lie side by side, as places of the partition. */
export function runsOf(
  clusters: readonly number[],
  { clusterBytes, placeOf }: { clusterBytes: number; placeOf: (cluster: number) => number },
): { readonly offsetBytes: number; readonly lengthBytes: number }[] {
  const runs: { offsetBytes: number; lengthBytes: number }[] = [];
  for (const cluster of clusters) {
    const offsetBytes = placeOf(cluster);
    const last = runs.at(-1);
    if (last !== undefined && last.offsetBytes + last.lengthBytes === offsetBytes) {
      last.lengthBytes += clusterBytes;
    } else {
      runs.push({ offsetBytes, lengthBytes: clusterBytes });
    }
  }
  return runs;
}
