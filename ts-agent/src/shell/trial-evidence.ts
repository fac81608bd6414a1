/**
 * Gathers what a failed trial left behind. PID 1 has put all of it on the state partition before the agent begins.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import { parseCrashReport } from '@keelos/proto/trial-traces.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { judgeTraces, type TrialFindings } from '../core/trial-evidence.ts';
import type { AgentPorts } from '../ports.ts';
import { trialRecord } from './update-records.ts';

/** Ports of this module. */
export type EvidencePorts = Pick<AgentPorts, 'state' | 'log'>;

/**
 * Cause and evidence of the trial that has failed. A crash that was found in the boot that armed it is older than the
 * trial, and not told. Nothing is removed: see {@link discardTrialEvidence}.
 *
 * @throws KeelError E_STATE_UNAVAILABLE when the trial record cannot be read
 */
export function findTrialEvidence(ports: EvidencePorts): TrialFindings {
  const crash = parseCrashReport(text(ports, UPDATE_PATHS.crashReport));
  const isOlder = crash !== undefined && crash.foundInBoot === trialRecord(ports)?.armedBootId;
  return judgeTraces({
    givenUp: text(ports, UPDATE_PATHS.trialGivenUp),
    crash: crash === undefined || isOlder ? '' : crash.text,
    console: text(ports, UPDATE_PATHS.trialConsole),
  });
}

/** Removes the traces once the history has them; also before a trial is armed, so that none is older than it. */
export function discardTrialEvidence({ state, log }: EvidencePorts): void {
  for (const path of [
    UPDATE_PATHS.trialGivenUp,
    UPDATE_PATHS.trialConsole,
    UPDATE_PATHS.crashReport,
  ]) {
    try {
      state.remove(path);
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      log(`trace of a trial not removed: ${cause.message}`);
    }
  }
}

/** A trace that cannot be read is not there. */
function text({ state, log }: EvidencePorts, path: string): string {
  try {
    return Buffer.from(state.read(path) ?? []).toString('utf8');
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    log(`trace of a trial not read: ${cause.message}`);
    return '';
  }
}
