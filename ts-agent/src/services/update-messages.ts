/** Updates in the words of the API. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Duration } from '@bufbuild/protobuf/wkt';
import { durationFromMs, durationMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import { Slot } from '@keelos/proto/gen/keel/v1/system_pb.js';
import type {
  BootOptionSchema,
  SlotInfoSchema,
  SlotReleaseSchema,
  TrialPolicy as TrialPolicyMessage,
  TrialPolicySchema,
  UpdateHistoryEntrySchema,
  UpdateOptions as UpdateOptionsMessage,
  UpdateStatusSchema,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { SlotState, UpdateOutcome, UpdatePhase } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { REASON_BYTES_MAX } from '@keelos/proto/reason.ts';
import type { HistoryEntry, SlotRelease, TrialPolicy } from '@keelos/proto/update-record.ts';
import {
  HEALTH_TIMEOUT_SECONDS,
  MIN_HEALTHY_SECONDS,
  TRIAL_SECONDS_MAX,
  TRIAL_SECONDS_MIN,
} from '@keelos/proto/update-record.ts';
import type { Rung } from '../core/boot-options.ts';
import type { SlotFacts } from '../core/slot-facts.ts';
import type { UpdateStatus } from '../core/update-status.ts';
import type { UpdateOptions } from '../shell/update-engine.ts';
import { SLOTS } from './slot-messages.ts';

const SECOND_MS = 1000;

const PHASES = {
  none: UpdatePhase.UNSPECIFIED,
  checking: UpdatePhase.CHECKING,
  disarming: UpdatePhase.DISARMING,
  writing: UpdatePhase.WRITING,
  verifying: UpdatePhase.VERIFYING,
  arming: UpdatePhase.ARMING,
  armed: UpdatePhase.ARMED,
  trial: UpdatePhase.TRIAL,
  committed: UpdatePhase.COMMITTED,
  failed: UpdatePhase.FAILED,
  cancelled: UpdatePhase.CANCELLED,
  checked: UpdatePhase.CHECKED,
} as const satisfies Record<UpdateStatus['phase'], UpdatePhase>;
const OUTCOMES = {
  open: UpdateOutcome.OPEN,
  committed: UpdateOutcome.COMMITTED,
  'rolled-back': UpdateOutcome.ROLLED_BACK,
  failed: UpdateOutcome.FAILED,
  cancelled: UpdateOutcome.CANCELLED,
} as const satisfies Record<HistoryEntry['outcome'], UpdateOutcome>;
const SLOT_STATES = {
  empty: SlotState.EMPTY,
  partial: SlotState.PARTIAL,
  armed: SlotState.ARMED,
  trial: SlotState.TRIAL,
  committed: SlotState.COMMITTED,
  failed: SlotState.FAILED,
} as const satisfies Record<SlotFacts['state'], SlotState>;

/** The checked policy of a message. @throws KeelError E_INVALID_ARGUMENT */
export function policyFrom(message: TrialPolicyMessage | undefined): TrialPolicy {
  const { healthCheckTimeout, minHealthy } = message ?? {};
  const healthTimeoutSeconds = secondsIn('health_check_timeout', healthCheckTimeout, {
    standard: HEALTH_TIMEOUT_SECONDS,
    min: TRIAL_SECONDS_MIN,
  });
  const minHealthySeconds = secondsIn('min_healthy', minHealthy, {
    standard: MIN_HEALTHY_SECONDS,
    min: 0,
  });
  const autoRollback = message?.autoRollback ?? false;
  // Without it the release is committed as soon as its API answers.
  if (autoRollback && minHealthySeconds >= healthTimeoutSeconds) {
    throw invalid(
      'health_check_timeout',
      `${healthTimeoutSeconds} s, expected more than min_healthy (${minHealthySeconds} s)`,
    );
  }
  return {
    autoRollback,
    healthTimeoutSeconds,
    minHealthySeconds,
  };
}

/** The message for a policy. */
export function policyMessage(policy: TrialPolicy): MessageInitShape<typeof TrialPolicySchema> {
  return {
    autoRollback: policy.autoRollback,
    healthCheckTimeout: durationFromMs(policy.healthTimeoutSeconds * SECOND_MS),
    minHealthy: durationFromMs(policy.minHealthySeconds * SECOND_MS),
  };
}

function secondsIn(
  name: string,
  duration: Duration | undefined,
  { standard, min }: { readonly standard: number; readonly min: number },
): number {
  const value = duration === undefined ? standard : durationMs(duration) / SECOND_MS;
  if (value >= min && value <= TRIAL_SECONDS_MAX) return value;
  throw invalid(name, `${value} s, expected ${min} s to ${TRIAL_SECONDS_MAX} s`);
}

/** The checked options of a message. @throws KeelError E_INVALID_ARGUMENT */
export function optionsFrom(message: UpdateOptionsMessage | undefined): UpdateOptions {
  const sha256 = message?.sha256 ?? '';
  if (sha256 !== '' && !/^[0-9a-f]{64}$/.test(sha256)) {
    throw invalid('sha256', 'expected 64 lower-case hexadecimal digits');
  }
  return {
    sha256,
    isDryRun: message?.dryRun ?? false,
    isRebootLeft: message?.noReboot ?? false,
    retryFailed: message?.retryFailed ?? false,
    policy: policyFrom(message?.policy),
  };
}

/** A reason that may go into the history. @throws KeelError E_INVALID_ARGUMENT */
export function reasonFrom(reason: string): string {
  const bytes = Buffer.byteLength(reason);
  if (reason.trim() !== '' && bytes <= REASON_BYTES_MAX) return reason;
  throw invalid('reason', `${bytes} bytes, expected 1 to ${REASON_BYTES_MAX} and not only spaces`);
}

function invalid(name: string, problem: string): KeelError {
  return new KeelError('E_INVALID_ARGUMENT', `Cannot accept ${name}: ${problem}`);
}

/** The message for a status. */
export function statusMessage(status: UpdateStatus): MessageInitShape<typeof UpdateStatusSchema> {
  const { id, version, rootHash, slot, errorCode, errorMessage, remainingMs, startedMs } = status;
  return {
    id,
    version,
    rootHash,
    errorCode,
    errorMessage,
    phase: PHASES[status.phase],
    slot: slot === undefined ? Slot.UNSPECIFIED : SLOTS[slot],
    doneBytes: BigInt(status.doneBytes),
    totalBytes: BigInt(status.totalBytes),
    bytesPerSecond: BigInt(status.bytesPerSecond),
    resumedBytes: BigInt(status.resumedBytes),
    waitingFor: [...status.waitingFor],
    fetchedBytes: BigInt(status.fetchedBytes),
    bundleBytes: BigInt(status.bundleBytes),
    delta: status.isDelta,
    fallbackReason: status.fallbackReason,
    ...(remainingMs === undefined ? {} : { remaining: durationFromMs(remainingMs) }),
    ...(startedMs === 0 ? {} : { started: timestampFromMs(startedMs) }),
  };
}

/** The message for an entry of the history. */
export function historyMessage(
  entry: HistoryEntry,
): MessageInitShape<typeof UpdateHistoryEntrySchema> {
  const { id, kind, automatic, who, reason, cause, code, evidence, startedMs, endedMs } = entry;
  return {
    id,
    kind,
    automatic,
    who,
    reason,
    cause,
    errorCode: code,
    evidence: [...evidence],
    from: releaseMessage(entry.from),
    to: releaseMessage(entry.to),
    started: timestampFromMs(startedMs),
    ...(endedMs === 0 ? {} : { ended: timestampFromMs(endedMs) }),
    outcome: OUTCOMES[entry.outcome],
  };
}

function releaseMessage(release: SlotRelease): MessageInitShape<typeof SlotReleaseSchema> {
  return { slot: SLOTS[release.slot], version: release.version, rootHash: release.rootHash };
}

/** The message for a slot. */
export function slotMessage(facts: SlotFacts): MessageInitShape<typeof SlotInfoSchema> {
  const { version, rootHash, entry, triesLeft } = facts;
  return {
    version,
    rootHash,
    entry,
    running: facts.isRunning,
    next: facts.isNext,
    slot: SLOTS[facts.slot],
    state: SLOT_STATES[facts.state],
    sizeBytes: BigInt(facts.sizeBytes),
    ...(triesLeft === undefined ? {} : { triesLeft }),
  };
}

/** The message for a rung of the ladder. */
export function bootOptionMessage(rung: Rung): MessageInitShape<typeof BootOptionSchema> {
  const { description, number, isCorrect } = rung;
  return { description, correct: isCorrect, ...(number === undefined ? {} : { number }) };
}
