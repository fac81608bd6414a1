/**
 * Captured output of one service: cut into lines, kept in memory, handed to followers, written to disk.
 */
import type { LogLine } from '@keelos/proto/init-control.ts';
import { createLineSplitter } from '../core/line-splitter.ts';
import { createLogRing, SERVICE_RING } from '../core/log-ring.ts';
import type { LogDisk } from './log-disk.ts';

/** Output of a service. */
export interface ServiceLog {
  /** Takes captured bytes. */
  capture(stream: LogLine['stream'], chunk: Uint8Array, timeMs: number): void;
  /** A stream has ended: its unfinished last line becomes a line. */
  end(stream: LogLine['stream'], timeMs: number): void;
  tail(count?: number): LogLine[];
  /**
   * Calls back with each new line until the result is called.
   *
   * Returns undefined when {@link FOLLOWERS_MAX} follow already.
   */
  follow(callback: (line: LogLine) => void): (() => void) | undefined;
}

/** How many may follow one service. */
export const FOLLOWERS_MAX = 16;

/** A log without lines. */
export function createServiceLog(disk: LogDisk): ServiceLog {
  const ring = createLogRing(SERVICE_RING);
  const splitters = { stdout: createLineSplitter(), stderr: createLineSplitter() };
  const followers = new Set<(line: LogLine) => void>();
  const take = (stream: LogLine['stream'], lines: readonly string[], timeMs: number) => {
    for (const text of lines) {
      const line = { timeMs, stream, line: text };
      ring.push(line);
      disk.write(line);
      for (const follower of followers) follower(line);
    }
  };
  return {
    capture: (stream, chunk, timeMs) => take(stream, splitters[stream].push(chunk), timeMs),
    end: (stream, timeMs) => take(stream, splitters[stream].end(), timeMs),
    tail: (count) => ring.tail(count),
    follow(callback) {
      if (followers.size >= FOLLOWERS_MAX) return undefined;
      followers.add(callback);
      return () => void followers.delete(callback);
    },
  };
}
