/**
 * Holds the deadline of a trial: a release that the agent has not settled in time gives way to the one before it, which
 * is what the next boot starts.
 */
import { decodeRecord } from '@keelos/proto/state-record.ts';
import { TRIAL_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import {
  type GuardEvent,
  type GuardState,
  guardStep,
  judgeTrial,
  LOADER_PATH_VARIABLE,
  loaderEntry,
  readTrialRecord,
  slotHash,
  type TrialFacts,
  type TrialView,
} from '../core/trial-guard.ts';
import { codeOf, type Machine, monotonicMs, reasonOf } from './machine.ts';
import type { TrialTraces } from './trial-traces.ts';

/** The guard. */
export interface TrialGuard {
  /** Looks at the trial record and at what the loader says, as far as they are there; a second look finds the rest. */
  look(): void;
  /** True in a trial, as far as is known, until it is committed. */
  readonly isTrial: boolean;
  /** The agent's verdict. */
  settle(outcome: 'committed' | 'given-up', reason: string): void;
  /** The machine goes down. Keeps the traces when a trial is open. Never rejects. */
  leaving(reason: string): Promise<void>;
}

const EFI_VARIABLES = '/sys/firmware/efi/efivars';

/** A guard that has not looked yet. */
export function createTrialGuard(of: {
  readonly machine: Machine;
  readonly traces: TrialTraces;
  restartMachine(reason: string): void;
}): TrialGuard {
  const { machine, traces } = of;
  let state: GuardState = { phase: 'idle' };
  let keeping = Promise.resolve();

  const take = (event: GuardEvent, reason: string) => {
    const result = guardStep(state, event, monotonicMs(machine));
    state = result.state;
    for (const effect of result.effects) {
      if (effect === 'begin-traces') traces.begin();
      if (effect === 'drop-traces') traces.drop();
      if (effect === 'keep-traces') keeping = traces.keep(reason);
      // The reason must be on the disk before the disk is unmounted.
      if (effect === 'leave') keeping = keeping.then(() => of.restartMachine(reason));
    }
    // A tick that came before its time changes nothing, and there must be another one.
    if (result.effects.length > 0 || event.type === 'tick') wait();
  };
  const wait = () => {
    if (!('deadlineMs' in state)) return;
    const { deadlineMs, phase } = state;
    machine.clock.after(deadlineMs - monotonicMs(machine), () => {
      // The agent has settled it meanwhile, or the deadline was moved.
      if (!('deadlineMs' in state) || state.deadlineMs !== deadlineMs) return;
      take({ type: 'tick' }, overdue(phase, deadlineMs));
    });
  };
  return {
    look() {
      const verdict = judgeTrial(gatherFacts(machine));
      const before = state.phase;
      take({ type: 'judged', verdict }, '');
      if (!verdict.isTrial && before !== state.phase) {
        machine.log.info(`no trial, whatever its record says: ${verdict.why}`);
      }
      if (before === 'idle' && verdict.isTrial) {
        const release = verdict.version === '' ? 'a release' : `release ${verdict.version}`;
        machine.log.info(
          `trial of ${release}, known from the ${verdict.knownFrom}: committed within ${verdict.deadlineMs / 1000} s, or the one before it runs again`,
        );
      }
    },
    get isTrial() {
      return state.phase !== 'idle' && state.phase !== 'committed';
    },
    settle(outcome, reason) {
      const before = state.phase;
      take({ type: 'settled', outcome }, reason === '' ? 'the agent has given up' : reason);
      if (before !== state.phase) machine.log.info(`trial ${outcome}: ${reason || 'by the agent'}`);
    },
    async leaving(reason) {
      take({ type: 'leave' }, reason);
      await keeping;
    },
  };
}

function overdue(phase: GuardState['phase'], deadlineMs: number): string {
  if (phase === 'given-up') return 'the trial was given up, and nobody asked for the restart';
  return `the agent has not settled the trial in ${Math.round(deadlineMs / 1000)} s from the start of the kernel`;
}

function gatherFacts(machine: Machine): TrialFacts {
  const text = (path: string) =>
    quietly(machine, path, () => machine.files.readText(path).trim()) ?? '';
  return {
    record: quietly(machine, UPDATE_PATHS.trial, () => readRecord(machine)),
    rootHash: slotHash(text('/proc/cmdline')),
    bootId: text('/proc/sys/kernel/random/boot_id'),
    entry: quietly(machine, LOADER_PATH_VARIABLE, () =>
      loaderEntry(machine.files.readBytes(`${EFI_VARIABLES}/${LOADER_PATH_VARIABLE}`)),
    ),
  };
}

function readRecord(machine: Machine): TrialView {
  return readTrialRecord(decodeRecord(TRIAL_RECORD, machine.files.readBytes(UPDATE_PATHS.trial)));
}

/** What is not there is no news; what is there and cannot be read goes to the kernel log. */
function quietly<T>(machine: Machine, what: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') machine.log.error(`${what}: ${reasonOf(error)}`);
    return undefined;
  }
}
