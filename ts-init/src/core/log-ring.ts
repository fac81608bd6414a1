/**
 * The last lines of a service, bounded in number and in bytes.
 */
import type { LogLine } from '@keelos/proto/init-control.ts';

/** Bounds of a ring. */
export interface RingLimits {
  readonly linesMax: number;
  readonly bytesMax: number;
}

/** What PID 1 keeps for each service. */
export const SERVICE_RING: RingLimits = { linesMax: 4000, bytesMax: 524_288 };

/** Counted for each line beside its text: the object, the time, the stream. */
const LINE_OVERHEAD_BYTES = 64;

/** A bounded list of lines, oldest dropped first. */
export interface LogRing {
  push(line: LogLine): void;
  /** The last `count` lines, oldest first; all when undefined. */
  tail(count?: number): LogLine[];
  /** Lines held, and their bytes as counted against the limit. */
  size(): { readonly lines: number; readonly bytes: number };
}

/** An empty ring. A single line above `bytesMax` is not kept. */
export function createLogRing(limits: RingLimits): LogRing {
  let lines: LogLine[] = [];
  let head = 0;
  let bytes = 0;
  const dropOldest = () => {
    const oldest = lines[head];
    if (oldest === undefined) return;
    bytes -= cost(oldest);
    head += 1;
    // Half of the array at most is dropped lines, so memory stays within twice the bounds.
    if (head * 2 > lines.length) {
      lines = lines.slice(head);
      head = 0;
    }
  };
  return {
    push(line) {
      lines.push(line);
      bytes += cost(line);
      while (lines.length - head > limits.linesMax || bytes > limits.bytesMax) dropOldest();
    },
    tail(count) {
      const from = count === undefined ? head : Math.max(head, lines.length - count);
      return lines.slice(from);
    },
    size: () => ({ lines: lines.length - head, bytes }),
  };
}

function cost(line: LogLine): number {
  return Buffer.byteLength(line.line, 'utf8') + LINE_OVERHEAD_BYTES;
}
