/** One line that tells how far something is. */
import { formatBytes } from '@keelos/proto/byte-text.ts';

/** How far it is. */
export interface Progress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly elapsedMs: number;
}

/** Bytes a second for people: "118 MiB/s"; "-" when no time has passed. */
export function formatSpeed(bytes: number, elapsedMs: number): string {
  return elapsedMs > 0 ? `${formatBytes((bytes * 1000) / elapsedMs)}/s` : '-';
}

/** For example " 43 % of 79.1 MiB, 118 MiB/s". */
export function progressText({ doneBytes, totalBytes, elapsedMs }: Progress): string {
  const share = totalBytes > 0 ? Math.min(100, Math.floor((doneBytes * 100) / totalBytes)) : 0;
  const speed = formatSpeed(doneBytes, elapsedMs);
  return `${String(share).padStart(3)} % of ${formatBytes(totalBytes)}, ${speed}`;
}
