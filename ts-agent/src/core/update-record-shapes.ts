/**
 * Shapes of the records about updates (proto/src/update-record.ts) as they come from the disk. Unknown keys are kept:
 * a newer release may have written them.
 */
import type { ChannelSeen } from '@keelos/proto/channel-judge.ts';
import type {
  CountingProof,
  EpochRecord,
  FailedRoot,
  FollowedChannel,
  HistoryEntry,
  KnownEpoch,
  LoaderRecord,
  ResumeRecord,
  SlotRelease,
  TrialPolicy,
  TrialRecord,
} from '@keelos/proto/update-record.ts';
import {
  EVIDENCE_CHARS_MAX,
  EVIDENCE_MAX,
  FAILED_ROOTS_MAX,
  HISTORY_MAX,
  KNOWN_EPOCHS_MAX,
  storedTrialSeconds,
} from '@keelos/proto/update-record.ts';

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === 'string';
const whole: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const time: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const truth: Check = (value) => typeof value === 'boolean';
const slot: Check = (value) => value === 'a' || value === 'b';
const kind: Check = (value) => value === 'update' || value === 'rollback';
const listOf =
  (item: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(item);
const shape =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(checks).every(([key, check]) => check((value as Record<string, unknown>)[key]));

const isRelease = shape({ slot, version: text, rootHash: text } satisfies Keys<SlotRelease>);
const isPolicy = shape({
  autoRollback: truth,
  healthTimeoutSeconds: time,
  minHealthySeconds: time,
} satisfies Keys<TrialPolicy>);
const isTrial = shape({
  id: text,
  kind,
  sequence: whole,
  from: isRelease,
  to: isRelease,
  policy: isPolicy,
  who: text,
  reason: text,
  armedMs: time,
  armedBootId: text,
} satisfies Keys<Omit<TrialRecord, 'isRebootLeft' | 'hadGateway' | 'heldChecks'>>);
const isResume = shape({
  manifestSha256: text,
  slot,
  writtenBytes: whole,
} satisfies Keys<ResumeRecord>);
const OUTCOMES: readonly unknown[] = ['open', 'committed', 'rolled-back', 'failed', 'cancelled'];
const isEntry = shape({
  id: text,
  kind: (value: unknown) => kind(value) || value === 'repair',
  automatic: truth,
  who: text,
  reason: text,
  from: isRelease,
  to: isRelease,
  startedMs: time,
  endedMs: time,
  cause: text,
  code: text,
  evidence: listOf(text),
  outcome: (value: unknown) => OUTCOMES.includes(value),
} satisfies Keys<HistoryEntry>);
const isFailedRoot = shape({
  rootHash: text,
  version: text,
  atMs: time,
  cause: text,
} satisfies Keys<FailedRoot>);
const isKnownEpoch = shape({ rootHash: text, epoch: whole } satisfies Keys<KnownEpoch>);

const isCountingProof = shape({
  loaderSha256: text,
  firmware: text,
} satisfies Keys<CountingProof>);
const isLoader = shape({ sha256: text, hadOptions: truth } satisfies Keys<LoaderRecord>);

const isFollowed = shape({
  url: text,
  channel: text,
  everySeconds: time,
  isCheckOnly: truth,
  policy: isPolicy,
  who: text,
} satisfies Keys<Omit<FollowedChannel, 'setAfter'>>);
const isSeen = shape({
  channel: text,
  number: time,
  sha256: text,
  keyIds: listOf(text),
} satisfies Keys<Omit<ChannelSeen, 'roots'>>);

type Keys<T> = Readonly<Record<keyof T, Check>>;

/**
 * A trial record, with a time-out that PID 1 reads, too; undefined when it has another shape. Earlier releases did not
 * say whose the reboot is, and never asked again for one; nor did they say whether they had a gateway, or which checks
 * were healthy.
 */
export function trialFrom(value: unknown): TrialRecord | undefined {
  if (!isTrial(value)) return undefined;
  const trial = value as TrialRecord;
  const healthTimeoutSeconds = storedTrialSeconds(trial.policy.healthTimeoutSeconds);
  const isRebootLeft = trial.isRebootLeft !== false;
  const hadGateway = trial.hadGateway === true;
  const heldChecks = listOf(text)(trial.heldChecks) ? trial.heldChecks : [];
  const policy = { ...trial.policy, healthTimeoutSeconds };
  return { ...trial, isRebootLeft, hadGateway, heldChecks, policy };
}

/** A resume record; undefined when it has another shape. */
export function resumeFrom(value: unknown): ResumeRecord | undefined {
  return isResume(value) ? (value as ResumeRecord) : undefined;
}

/** The history, the newest first; undefined when it has another shape. A later release may have entries of other kinds. */
export function historyFrom(value: unknown): readonly HistoryEntry[] | undefined {
  if (!shape({ entries: Array.isArray })(value)) return undefined;
  return (value as { entries: HistoryEntry[] }).entries.filter(isEntry).slice(0, HISTORY_MAX);
}

/** Remembered roots, the newest first; undefined when the value has another shape. */
export function failedRootsFrom(value: unknown): readonly FailedRoot[] | undefined {
  if (!shape({ roots: listOf(isFailedRoot) })(value)) return undefined;
  return (value as { roots: FailedRoot[] }).roots.slice(0, FAILED_ROOTS_MAX);
}

/** What is known of epochs; undefined when the value has another shape. Earlier releases remembered no roots. */
export function epochsFrom(value: unknown): EpochRecord | undefined {
  if (!shape({ epoch: whole })(value)) return undefined;
  const { epoch, roots } = value as EpochRecord;
  return { epoch, roots: listOf(isKnownEpoch)(roots) ? roots.slice(0, KNOWN_EPOCHS_MAX) : [] };
}

/** What is known of the boot loader; undefined when the value has another shape. */
export function loaderFrom(value: unknown): LoaderRecord | undefined {
  return isLoader(value) ? (value as LoaderRecord) : undefined;
}

/** With what the loader has counted; undefined when the value has another shape. */
export function countingProofFrom(value: unknown): CountingProof | undefined {
  return isCountingProof(value) ? (value as CountingProof) : undefined;
}

/** The channel that is followed; undefined when the value has another shape. Earlier releases did not say since when. */
export function followedFrom(value: unknown): FollowedChannel | undefined {
  if (!isFollowed(value)) return undefined;
  const followed = value as FollowedChannel;
  return { ...followed, setAfter: text(followed.setAfter) ? followed.setAfter : '' };
}

/** What was seen of channels, the last look first; undefined when the value has another shape. Earlier releases kept no roots. */
export function channelsSeenFrom(value: unknown): readonly ChannelSeen[] | undefined {
  if (!shape({ channels: listOf(isSeen) })(value)) return undefined;
  const { channels } = value as { channels: ChannelSeen[] };
  return channels.map((one) => ({ ...one, roots: listOf(text)(one.roots) ? one.roots : [] }));
}

/** The known epochs with this one before all others, at most {@link KNOWN_EPOCHS_MAX}. */
export function withKnownEpoch(
  roots: readonly KnownEpoch[],
  known: KnownEpoch,
): readonly KnownEpoch[] {
  const others = roots.filter(({ rootHash }) => rootHash !== known.rootHash);
  return [known, ...others].slice(0, KNOWN_EPOCHS_MAX);
}

/** Evidence within its bounds: the last lines are the ones that tell. */
export function boundedEvidence(evidence: readonly string[]): string[] {
  return evidence.slice(0, EVIDENCE_MAX).map((piece) => piece.slice(-EVIDENCE_CHARS_MAX));
}

/** The history with `entry` in place of the one of its id, or before all others. */
export function withEntry(
  entries: readonly HistoryEntry[],
  entry: HistoryEntry,
): readonly HistoryEntry[] {
  const bounded = { ...entry, evidence: boundedEvidence(entry.evidence) };
  const isThere = entries.some(({ id }) => id === entry.id);
  const next = isThere
    ? entries.map((one) => (one.id === entry.id ? bounded : one))
    : [bounded, ...entries];
  return next.length > HISTORY_MAX ? withoutLeast(next) : next;
}

/**
 * The oldest entry goes; but the oldest install that changed nothing when most of them are such: a channel whose server
 * breaks off may add one at each look.
 */
function withoutLeast(entries: readonly HistoryEntry[]): readonly HistoryEntry[] {
  const failed = entries.filter(({ outcome }) => outcome === 'failed');
  const isFlooded = failed.length > entries.length / 2;
  const least = isFlooded ? failed.at(-1) : entries.at(-1);
  return entries.filter((one) => one !== least);
}

/** The history in at most `charsMax` characters of JSON: the oldest evidence goes first, then the oldest entries. */
export function fittingHistory(
  entries: readonly HistoryEntry[],
  charsMax: number,
): readonly HistoryEntry[] {
  const sizeOf = (entry: HistoryEntry): number => Buffer.byteLength(JSON.stringify(entry)) + 1;
  const kept: HistoryEntry[] = [];
  let roomLeft = charsMax;
  let isEvidenceKept = true;
  for (const entry of entries) {
    isEvidenceKept &&= sizeOf(entry) <= roomLeft;
    const fitted = isEvidenceKept ? entry : { ...entry, evidence: [] };
    roomLeft -= sizeOf(fitted);
    if (roomLeft < 0) break;
    kept.push(fitted);
  }
  return kept;
}

/** Remembered roots with one more, the newest first. */
export function withFailedRoot(
  roots: readonly FailedRoot[],
  root: FailedRoot,
): readonly FailedRoot[] {
  return [root, ...roots.filter(({ rootHash }) => rootHash !== root.rootHash)].slice(
    0,
    FAILED_ROOTS_MAX,
  );
}
