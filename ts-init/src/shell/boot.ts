/**
 * Performs the boot plan.
 */
import { type BootAction, type BootStep, mountFlagBits } from '../core/boot-plan.ts';
import type { BootLedger } from './boot-ledger.ts';
import { codeOf, type Machine, reasonOf } from './machine.ts';

/** One function for each action of the plan; it throws when it fails. */
export type BootActions = Readonly<Record<BootAction, () => void | Promise<void>>>;

/** A step of policy "fatal" failed. */
export class BootFailure extends Error {
  override readonly name = 'BootFailure';
}

/**
 * Performs all steps in order.
 *
 * @throws BootFailure when a fatal step fails; the others go into the ledger.
 */
export async function performBootPlan(
  plan: readonly BootStep[],
  using: { readonly machine: Machine; readonly ledger: BootLedger; readonly actions: BootActions },
): Promise<void> {
  for (const step of plan) {
    try {
      const pending = performStep(step, using.machine, using.actions);
      // No await without need: the start of the agent must not wait for a turn of the event loop.
      if (pending !== undefined) await pending;
      if (step.kind === 'action' && step.mark !== undefined) using.ledger.mark(step.mark);
    } catch (error) {
      using.ledger.fail(step.name, reasonOf(error));
      if (step.onFailure === 'fatal') {
        throw new BootFailure(`${step.name}: ${reasonOf(error)}`, { cause: error });
      }
    }
  }
}

function performStep(step: BootStep, machine: Machine, actions: BootActions): void | Promise<void> {
  if ('onlyIf' in step && step.onlyIf !== undefined && !machine.files.exists(step.onlyIf)) return;
  switch (step.kind) {
    case 'directory':
      return machine.files.makeDirectory(step.path, step.mode);
    case 'write':
      return machine.files.writeKernelFile(step.path, step.value);
    case 'action':
      return actions[step.action]();
    case 'mount':
      try {
        const { source, target, type, flags, data = '' } = step;
        machine.syscalls.mount({ source, target, type, flagBits: mountFlagBits(flags), data });
      } catch (error) {
        if (!(step.busyIsFine === true && codeOf(error) === 'EBUSY')) throw error;
      }
  }
}
