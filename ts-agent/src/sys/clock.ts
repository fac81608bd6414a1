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

/** A clock that a test moves. */
export class FakeClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** Lets `ms` go by on both clocks. */
  advance(ms: number): void {
    this.#nowMs += ms;
    this.#monotonicMs += ms;
  }

  /** Sets the time; the monotonic clock does not notice. */
  set(nowMs: number): void {
    this.#nowMs = nowMs;
  }
}
