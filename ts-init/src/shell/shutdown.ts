/**
 * Takes the node down in order. What may wait for a disk runs on the thread pool, and every step has a bound; when all
 * bounds together are over, a last resort resets the machine. A call that blocks PID 1 itself is beyond that: then the
 * hardware watchdog, which nobody feeds any more, does it.
 */
import {
  lastResortMs,
  type ShutdownAction,
  type ShutdownKind,
  type ShutdownStep,
} from '../core/shutdown-plan.ts';
import { leaveForGood } from './last-resort.ts';
import { bounded, type Machine, reasonOf } from './machine.ts';
import type { WatchdogFeeder } from './watchdog-feeder.ts';

/** One function for each action of the plan. */
export type ShutdownActions = Readonly<Record<ShutdownAction, () => void | Promise<void>>>;

/** Goes through the plan. A step that fails or takes too long is passed over. Ends when "leave" did not work. */
export async function performShutdown(
  plan: readonly ShutdownStep[],
  using: {
    readonly machine: Machine;
    readonly actions: ShutdownActions;
    readonly kind: ShutdownKind;
    readonly watchdog: WatchdogFeeder;
  },
): Promise<void> {
  const { machine, actions, kind, watchdog } = using;
  machine.clock.after(lastResortMs(plan), () => {
    watchdog.stop();
    leaveForGood(machine, kind);
  });
  for (const step of plan) {
    try {
      // The wrapping turns an action that throws at once into a rejection.
      const work = (async () => actions[step.action]())();
      const result = await bounded(machine.clock, step.boundMs, work);
      if (result === 'timeout') machine.log.error(`${step.action}: not done in ${step.boundMs} ms`);
    } catch (error) {
      machine.log.error(`${step.action}: ${reasonOf(error)}`);
    }
  }
}

/** Unmounts a file system; one that is busy is made read-only instead, so that it is clean on disk. */
export async function unmountOrFreeze(
  machine: Machine,
  mount: { readonly target: string; readonly remountFlagBits: number },
): Promise<void> {
  if (await machine.syscalls.unmount(mount.target)) return;
  machine.log.error(`unmount ${mount.target}: busy, made read-only`);
  const { target, remountFlagBits: flagBits } = mount;
  const frozen = await machine.syscalls.remount({
    source: '',
    target,
    type: '',
    flagBits,
    data: '',
  });
  if (!frozen) machine.log.error(`remount ${target}: refused, it stays writable`);
}
