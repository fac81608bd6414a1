/**
 * Collects orphans that fell to PID 1 and died, and only those: Node waits for the children it started itself.
 */
import { isOrphanedZombie, parseChildren, parseProcessStat } from '../core/process-stat.ts';
import type { Machine } from './machine.ts';

const CHILDREN = '/proc/1/task/1/children';
const SWEEP_EVERY_MS = 30_000;

/** Collects what there is; returns the process ids. */
export function reapOrphans(machine: Machine): number[] {
  const ownPids = machine.processes.ownPids();
  return listCandidates(machine).filter((pid) => {
    const stat = parseProcessStat(readStat(machine, pid));
    return isOrphanedZombie(stat, { pid, ownPids }) && machine.syscalls.reap(pid);
  });
}

/** Sweeps now and then as well: signals of the same kind can merge into one. */
export function sweepRegularly(machine: Machine): void {
  machine.clock.after(SWEEP_EVERY_MS, () => {
    reapOrphans(machine);
    sweepRegularly(machine);
  });
}

function listCandidates(machine: Machine): number[] {
  if (machine.files.exists(CHILDREN)) return parseChildren(machine.files.readText(CHILDREN));
  // A kernel without CONFIG_PROC_CHILDREN: all processes are looked at.
  return parseChildren(machine.files.list('/proc').join(' '));
}

function readStat(machine: Machine, pid: number): string {
  try {
    return machine.files.readText(`/proc/${pid}/stat`);
  } catch {
    // It is gone: somebody else collected it between the two looks.
    return '';
  }
}
