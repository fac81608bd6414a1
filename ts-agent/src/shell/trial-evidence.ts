/**
 * Gathers what a failed trial left behind. PID 1 puts all of it on the state partition while the agent opens its port.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import { EVIDENCE_STEP } from '@keelos/proto/init-control.ts';
import { parseCrashReport } from '@keelos/proto/trial-traces.ts';
import type { TrialRecord } from '@keelos/proto/update-record.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { judgeTraces, type TrialFindings } from '../core/trial-evidence.ts';
import type { AgentPorts } from '../ports.ts';
import { bootReport } from './node-facts.ts';

/** Ports of this module. */
export type EvidencePorts = Pick<AgentPorts, 'state' | 'log'>;

/** PID 1 takes a few tenths of a second, and up to half of this where a disk is slow. Judged late beats judged never. */
export const EVIDENCE_WAIT_MS = 30_000;
const EVIDENCE_POLL_MS = 50;

/**
 * Waits until PID 1 has kept the evidence and mounted the firmware's variables, for {@link EVIDENCE_WAIT_MS} at most.
 *
 * @throws what `wait` throws
 */
export async function awaitEvidence(
  { files, log }: Pick<AgentPorts, 'files' | 'log'>,
  wait: (ms: number) => Promise<void>,
): Promise<void> {
  for (let waitedMs = 0; waitedMs < EVIDENCE_WAIT_MS; waitedMs += EVIDENCE_POLL_MS) {
    const { steps } = await bootReport(files);
    if (steps.some(({ name }) => name === EVIDENCE_STEP)) return;
    await wait(EVIDENCE_POLL_MS);
  }
  log(`PID 1 has not told in ${EVIDENCE_WAIT_MS / 1_000} s what the boot before left of a trial`);
}

/**
 * Cause and evidence of the trial that has failed; undefined: nothing was on trial. A crash that was found in the boot that
 * armed it is older than the trial, and not told. Nothing is removed: see {@link discardTrialEvidence}.
 */
export function findTrialEvidence(
  ports: EvidencePorts,
  trial: Pick<TrialRecord, 'armedBootId'> | undefined,
): TrialFindings {
  const crash = parseCrashReport(text(ports, UPDATE_PATHS.crashReport));
  const isOlder = crash !== undefined && crash.foundInBoot === trial?.armedBootId;
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
