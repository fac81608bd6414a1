/**
 * Feeds the watchdog for as long as PID 1 has a reason to live.
 */
import type { Watchdog } from '../sys/watchdog.ts';
import { type Machine, reasonOf } from './machine.ts';

/** The feeder. */
export interface WatchdogFeeder {
  /** Arms the watchdog, feeds it from now on, and says what kind it is. @throws when there is none. */
  arm(): Watchdog['kind'];
  /** Stops feeding for good: if nothing else restarts the machine, the watchdog does. */
  stop(): void;
}

const TIMEOUT_SECONDS = 60;
const FEED_MS_MAX = 10_000;
/** Feedings in one time-out: one that is late does no harm. */
const FEEDS_PER_TIMEOUT = 3;

/** A feeder whose watchdog is not armed yet. */
export function createWatchdogFeeder(machine: Machine): WatchdogFeeder {
  let stopped = false;
  return {
    arm() {
      const watchdog = machine.armWatchdog(TIMEOUT_SECONDS);
      const feedMs = Math.min(FEED_MS_MAX, (watchdog.timeoutSeconds * 1000) / FEEDS_PER_TIMEOUT);
      const feed = () => {
        if (stopped) return;
        try {
          watchdog.feed();
        } catch (error) {
          machine.log.error(`watchdog: ${reasonOf(error)}`);
        }
        machine.clock.after(feedMs, feed);
      };
      feed();
      return watchdog.kind;
    },
    stop() {
      stopped = true;
    },
  };
}
