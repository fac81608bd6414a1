/** Clocks. */

/** Where the agent gets the time from. */
export interface Clock {
  /** Unix time in milliseconds. */
  nowMs(): number;
  /** Milliseconds since the machine started, the same for every process; only forward, whatever the time is set to. */
  monotonicMs(): number;
}

/** The machine's clocks. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  // CLOCK_MONOTONIC; performance.now() would begin with the process.
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
};
