/** A clock that a test moves. */
import type { Clock } from './clock.ts';

/** A clock in the hands of a test. */
export interface FakeClock extends Clock {
  /** Lets `ms` go by on both clocks. */
  advance(ms: number): void;
  /** Sets the time; the monotonic clock does not notice. */
  set(nowMs: number): void;
}

/** A clock that shows `startMs`, monotonic zero. */
export function createFakeClock(startMs: number): FakeClock {
  let nowMs = startMs;
  let monotonicMs = 0;
  return {
    nowMs: () => nowMs,
    monotonicMs: () => monotonicMs,
    advance(ms) {
      nowMs += ms;
      monotonicMs += ms;
    },
    set(toMs) {
      nowMs = toMs;
    },
  };
}
