/**
 * Time and timers.
 */

/** Reads time and runs things later. */
export interface Clock {
  /** Unix milliseconds. */
  wallMs(): number;
  /** Since the machine started. KeelOS never suspends, so CLOCK_MONOTONIC is CLOCK_BOOTTIME. */
  monotonicUs(): number;
  /** Calls back once, at the earliest after `delayMs`; the result cancels. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Longest delay that Node's timers take. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** The clocks of the running system. */
export const linuxClock: Clock = {
  wallMs: () => Date.now(),
  monotonicUs() {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1_000_000 + Math.floor(nanoseconds / 1000);
  },
  after(delayMs, callback) {
    // Node counts whole milliseconds, of the delay as of the time at which it begins: up to one is lost.
    const wholeMs = Math.ceil(Math.max(0, delayMs)) + 1;
    const timer = setTimeout(callback, Math.min(DELAY_MS_MAX, wholeMs));
    return () => clearTimeout(timer);
  },
};
