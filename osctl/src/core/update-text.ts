/** What people read about an update: one line for its state, and the error that it ended with. */
import { durationMs } from '@bufbuild/protobuf/wkt';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import { isErrorCode, KeelError } from '@keelos/proto/errors.ts';
import { type Slot, SlotSchema } from '@keelos/proto/gen/keel/v1/system_pb.js';
import {
  type SlotRelease,
  type UpdateHistoryEntry,
  UpdateOutcome,
  UpdateOutcomeSchema,
  UpdatePhase,
  UpdatePhaseSchema,
  type UpdateStatus,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { formatDuration } from './duration.ts';
import { enumName } from './plain.ts';

/** Phases after which an install changes no more by itself, or not before a reboot. */
const LAST_PHASES: ReadonlySet<UpdatePhase> = new Set([
  UpdatePhase.UNSPECIFIED,
  UpdatePhase.ARMED,
  UpdatePhase.TRIAL,
  UpdatePhase.COMMITTED,
  UpdatePhase.FAILED,
  UpdatePhase.CANCELLED,
  UpdatePhase.CHECKED,
]);
/** Phases of an install for which the node still needs the bundle. */
const READING_PHASES: ReadonlySet<UpdatePhase> = new Set([
  UpdatePhase.CHECKING,
  UpdatePhase.DISARMING,
  UpdatePhase.WRITING,
]);
/** So many characters of a root hash stand in tables. */
const HASH_CHARS_SHOWN = 12;
/** A shorter time that is left is not worth a word. */
const SHOWN_MS_MIN = 1000;

/** True when the install itself is over. */
export function hasEnded({ phase }: UpdateStatus): boolean {
  return LAST_PHASES.has(phase);
}

/** True while the node needs the bundle's bytes. */
export function needsSource({ phase }: UpdateStatus): boolean {
  return READING_PHASES.has(phase);
}

/** "A", "B", or "" when it is not known. */
export function slotLetter(slot: Slot): string {
  return slot === 0 ? '' : enumName(SlotSchema, slot).toUpperCase();
}

/** The beginning of a root hash, for tables. */
export function shortHash(rootHash: string): string {
  return rootHash.slice(0, HASH_CHARS_SHOWN);
}

/** "0.2.0 (slot B)", with as much of it as is known. */
export function releaseText(release: SlotRelease | undefined): string {
  if (release === undefined) return '';
  const slot = slotLetter(release.slot);
  const name = release.version || shortHash(release.rootHash);
  return slot === '' ? name : `${name} (slot ${slot})`.trimStart();
}

/** Phase and release: "writing 0.2.0". */
export function phaseText({ phase, version }: UpdateStatus): string {
  return `${enumName(UpdatePhaseSchema, phase)}${version === '' ? '' : ` ${version}`}`;
}

/** The state in one line: "writing 0.2.0: 43 % of 79.1 MiB, 12 MiB/s, 4 s left". */
export function statusText(status: UpdateStatus): string {
  const { doneBytes, totalBytes, bytesPerSecond, remaining, resumedBytes, waitingFor } = status;
  const facts: string[] = [];
  if (totalBytes > 0n) {
    const share = Number(doneBytes >= totalBytes ? 100n : (doneBytes * 100n) / totalBytes);
    facts.push(`${share} % of ${formatBytes(totalBytes)}`);
  }
  if (bytesPerSecond > 0n) facts.push(`${formatBytes(bytesPerSecond)}/s`);
  const leftMs = remaining === undefined ? 0 : durationMs(remaining);
  if (leftMs >= SHOWN_MS_MIN) facts.push(`${formatDuration(leftMs)} left`);
  if (resumedBytes > 0n) facts.push(`${formatBytes(resumedBytes)} were there`);
  if (waitingFor.length > 0) facts.push(`waiting for ${waitingFor.join(', ')}`);
  return facts.length === 0 ? phaseText(status) : `${phaseText(status)}: ${facts.join(', ')}`;
}

/** What a delta has spared, or why it has not; empty when none was asked for. */
export function deltaText(status: UpdateStatus): string {
  const { delta, fetchedBytes, bundleBytes, fallbackReason } = status;
  if (fallbackReason !== '') {
    return `The full bundle is fetched instead of the delta: ${reasonOf(fallbackReason)}.`;
  }
  if (!delta || bundleBytes === 0n) return '';
  const permille = Number(((bundleBytes - fetchedBytes) * 1000n) / bundleBytes);
  const spared = permille <= 0 ? '' : ` (${(permille / 10).toFixed(1)} % less)`;
  const fetched = `${formatBytes(fetchedBytes)} fetched instead of ${formatBytes(bundleBytes)}`;
  return `Made of a delta: ${fetched}${spared}.`;
}

/** "completed" forms of an outcome: "committed", "rolled-back". */
export function outcomeText({ outcome }: UpdateHistoryEntry): string {
  return enumName(UpdateOutcomeSchema, outcome);
}

function reasonOf(text: string): string {
  return text.trim().replace(/\.$/, '') || 'the node gives no reason';
}

/** An error that a node tells in a field: a code of another release keeps its words. */
function toldError(
  code: string,
  { message, details }: { message: string; details: { id: string } & Record<string, string> },
): KeelError {
  if (isErrorCode(code)) return new KeelError(code, message, { details });
  // The hint of E_INTERNAL speaks of a fault; that a newer node knows more codes is none.
  const which = details.id === '' ? '' : ` show ${details.id}`;
  return new KeelError('E_INTERNAL', message, {
    details: code === '' ? details : { ...details, nodeCode: code },
    hint: `osctl rollback history${which} tells more. Compare the releases of node and osctl: osctl version.`,
  });
}

/** Why an armed release is not tried: the reboot was asked for and refused. Undefined when it was not. */
export function refusedReboot({
  phase,
  errorCode,
  errorMessage,
}: UpdateStatus): string | undefined {
  if (phase !== UpdatePhase.ARMED || errorCode === '') return undefined;
  return `the node has refused to reboot (${reasonOf(errorMessage)})`;
}

/** The error of an install that has failed or was cancelled; undefined for any other state. */
export function failureOfStatus(status: UpdateStatus): KeelError | undefined {
  const { id, phase, version, errorCode, errorMessage } = status;
  if (phase === UpdatePhase.FAILED) {
    const message = /^Cannot /.test(errorMessage)
      ? errorMessage
      : `Cannot update${version === '' ? '' : ` to ${version}`}: ${reasonOf(errorMessage)}`;
    return toldError(errorCode, { message, details: { id, version } });
  }
  if (phase !== UpdatePhase.CANCELLED) return undefined;
  return new KeelError('E_CANCELLED', 'Cannot finish the update: it was cancelled', {
    details: { id, version },
    hint: 'The node runs what it ran before. Start it again with osctl update.',
  });
}

/** The error of an update or rollback that did not end committed; undefined when it did, or has not ended. */
export function failureOfEntry(entry: UpdateHistoryEntry): KeelError | undefined {
  const { id, kind, from, to, outcome, errorCode } = entry;
  const details = { id, from: from?.version ?? '', to: to?.version ?? '' };
  // An entry without an id is not in the history.
  const hint = id === '' ? '' : `osctl rollback history show ${id} has the evidence.`;
  if (outcome === UpdateOutcome.ROLLED_BACK) {
    const message = `Cannot keep ${releaseText(to)}: ${reasonOf(entry.cause)}. The node is back on ${releaseText(from)}`;
    return new KeelError('E_UPDATE_ROLLED_BACK', message, { details, hint });
  }
  if (outcome === UpdateOutcome.FAILED) {
    const message = `Cannot finish the ${kind || 'update'} to ${releaseText(to)}: ${reasonOf(entry.cause)}`;
    return toldError(errorCode, { message, details });
  }
  if (outcome !== UpdateOutcome.CANCELLED) return undefined;
  return new KeelError('E_CANCELLED', `Cannot finish the ${kind || 'update'}: it was cancelled`, {
    details,
    hint: '',
  });
}
