/**
 * A bug in PID 1, or a boot that cannot go on: it is written to the kernel log and the machine restarts.
 */
import { leaveForGood } from './last-resort.ts';
import { bounded, type Machine } from './machine.ts';
import type { WatchdogFeeder } from './watchdog-feeder.ts';

/** Time to write the reason down where the next boot finds it, and to flush disks. */
const SYNC_BOUND_MS = 3_000;
/** Time in which the console can be read. */
const READ_MS = 5_000;

/**
 * Says what happened and restarts the machine after a few seconds. A second call while the first works does nothing.
 * The watchdog is fed no more: it restarts a machine on which even this fails.
 */
export function createLastWords(
  machine: Machine,
  watchdog: WatchdogFeeder,
  leaving: (reason: string) => Promise<void> = async () => {},
): (error: unknown) => Promise<void> {
  let dying = false;
  return async (error) => {
    if (dying) return;
    dying = true;
    // Armed first: whatever goes wrong below, this happens.
    watchdog.stop();
    machine.clock.after(READ_MS, () => leaveForGood(machine, 'reboot'));
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    machine.log.error(`PID 1 failed, restarting in ${READ_MS / 1000} s: ${text}`);
    const reason = `PID 1 failed: ${error instanceof Error ? error.message : String(error)}`;
    await bounded(machine.clock, SYNC_BOUND_MS, leaving(reason));
    await bounded(machine.clock, SYNC_BOUND_MS, machine.syscalls.sync());
  };
}
