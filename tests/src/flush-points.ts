/** At which moments of an update, as the disk saw it, the power is made to fail. */
import type { LoggedWrite } from './write-log.ts';

/** A flush of the update. */
export interface FlushPoint {
  /** Entries of the log up to it. */
  readonly entries: number;
  /** Bytes written since the flush before that lie in front of slot A: partition table and boot partition. */
  readonly bootBytes: number;
}

/** Flushes behind byte `begin` of the log before which something was written. */
export function flushPoints(
  entries: readonly LoggedWrite[],
  { begin, bootEnd }: { readonly begin: number; readonly bootEnd: number },
): FlushPoint[] {
  const points: FlushPoint[] = [];
  let bootBytes = 0;
  let isChanged = false;
  for (const [at, { kind, offsetBytes, sizeBytes, dataAt }] of entries.entries()) {
    if (dataAt < begin) continue;
    if (kind === 'write') {
      isChanged = true;
      if (offsetBytes < bootEnd) bootBytes += sizeBytes;
    }
    if (kind !== 'flush' || !isChanged) continue; // the same as the one before
    points.push({ entries: at + 1, bootBytes });
    bootBytes = 0;
    isChanged = false;
  }
  return points;
}

/** `count` of the points in their order: those at which boot files change first of all, then evenly over the rest. */
export function chosen(points: readonly FlushPoint[], count: number): FlushPoint[] {
  const spread = <T>(from: readonly T[], wanted: number): T[] =>
    from.length <= wanted
      ? [...from]
      : Array.from(
          { length: wanted },
          (_, at) => from[Math.floor((at * from.length) / wanted)] as T,
        );
  const boot = spread(
    points.filter(({ bootBytes }) => bootBytes > 0),
    Math.ceil(count / 2),
  );
  const other = spread(
    points.filter((point) => !boot.includes(point)),
    count - boot.length,
  );
  return [...boot, ...other].sort((a, b) => a.entries - b.entries);
}
