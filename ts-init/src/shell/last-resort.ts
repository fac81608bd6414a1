/**
 * The end of PID 1, whatever still works.
 */
import type { ShutdownKind } from '../core/shutdown-plan.ts';
import { type Machine, reasonOf } from './machine.ts';

/**
 * Leaves by reboot(2). Where that fails PID 1 ends: the kernel panics without it, and restarts (panic=10).
 */
export function leaveForGood(machine: Machine, kind: ShutdownKind): void {
  try {
    machine.syscalls.reboot(kind);
  } catch (error) {
    machine.log.error(`${reasonOf(error)}; PID 1 ends, which restarts the machine`);
    machine.syscalls.endProcess();
  }
}
