/**
 * A bug in PID 1, or a boot that cannot go on: it is written to the kernel log and the machine restarts.
 */
import { bounded, type Machine } from './machine.ts';

/** Time to flush disks. */
const SYNC_BOUND_MS = 3_000;
/** Time in which the console can be read. */
const READ_MS = 5_000;

/** Says what happened and restarts the machine after a few seconds. A second call while the first works does nothing. */
export function createLastWords(machine: Machine): (error: unknown) => Promise<void> {
  let dying = false;
  return async (error) => {
    if (dying) return;
    dying = true;
    // Armed first: whatever goes wrong below, this happens.
    machine.clock.after(READ_MS, () => machine.syscalls.reboot('reboot'));
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    machine.log.error(`PID 1 failed, restarting in ${READ_MS / 1000} s: ${text}`);
    await bounded(machine.clock, SYNC_BOUND_MS, machine.syscalls.sync());
  };
}
