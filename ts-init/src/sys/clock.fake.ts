/**
 * Time that passes when the test says so.
 */
import type { Clock } from './clock.ts';

/** A clock in the hands of a test. */
export interface FakeClock extends Clock {
  /** Lets time pass; due callbacks run in order, and promises they settle are settled. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock alone. */
  setWall(ms: number): void;
}

/** A clock that starts at the given wall time, monotonic zero. */
export function createFakeClock(startMs = 1_700_000_000_000): FakeClock {
  let nowMs = 0;
  let offsetMs = startMs;
  let timers: { atMs: number; callback: () => void }[] = [];
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    wallMs: () => offsetMs + nowMs,
    monotonicUs: () => nowMs * 1000,
    after(delayMs, callback) {
      const timer = { atMs: nowMs + Math.max(0, delayMs), callback };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    async advance(ms) {
      const endMs = nowMs + ms;
      await settle();
      for (;;) {
        const [next] = timers.filter((one) => one.atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
        if (next === undefined) break;
        timers = timers.filter((other) => other !== next);
        nowMs = Math.max(nowMs, next.atMs);
        next.callback();
        await settle();
      }
      nowMs = endMs;
    },
    setWall(ms) {
      offsetMs = ms - nowMs;
    },
  };
}
