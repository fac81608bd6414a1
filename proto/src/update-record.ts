/**
 * What a node writes down about updates: state records (state-record.ts) below {@link UPDATE_DIR}, each replaced
 * atomically. PID 1 reads the trial record, the agent reads and writes all of them.
 */
import type { RecordKind } from './state-record.ts';

/** Folder of the records. */
export const UPDATE_DIR = '/var/lib/keel/update';
/** Paths of the records. */
export const UPDATE_PATHS = {
  trial: `${UPDATE_DIR}/trial.rec`,
  resume: `${UPDATE_DIR}/resume.rec`,
  history: `${UPDATE_DIR}/history.rec`,
  failedRoots: `${UPDATE_DIR}/failed-roots.rec`,
  schedules: `${UPDATE_DIR}/schedules.rec`,
  epoch: `${UPDATE_DIR}/epoch.rec`,
  channel: `${UPDATE_DIR}/channel.rec`,
  channelsSeen: `${UPDATE_DIR}/channels-seen.rec`,
  loader: `${UPDATE_DIR}/loader.rec`,
  counting: `${UPDATE_DIR}/boot-counting.rec`,
  /** The delta that is being applied, as it was fetched; no record. */
  delta: `${UPDATE_DIR}/fetched.kdelta`,
  /** The kernel that the delta patches, unpacked; no record. */
  kernel: `${UPDATE_DIR}/unpacked-kernel`,
  /** Written by PID 1 when it gives up on a trial: plain text, one line. */
  trialGivenUp: `${UPDATE_DIR}/trial-given-up.txt`,
  /** Last lines of kernel log and agent in a trial, kept by PID 1 while it runs: plain text. */
  trialConsole: `${UPDATE_DIR}/trial-console.txt`,
  /** What the kernel left when it crashed, found by PID 1 at the next boot; see trial-traces.ts. */
  crashReport: `${UPDATE_DIR}/crash-report.txt`,
} as const;

/** Payload {@link TrialRecord}. */
export const TRIAL_RECORD: RecordKind = { kind: 'trial', version: 1 };
/** Payload {@link ResumeRecord}. */
export const RESUME_RECORD: RecordKind = { kind: 'resume', version: 1 };
/** Payload `{ entries: HistoryEntry[] }`. */
export const HISTORY_RECORD: RecordKind = { kind: 'update-history', version: 1 };
/** Payload `{ roots: FailedRoot[] }`. */
export const FAILED_ROOTS_RECORD: RecordKind = { kind: 'failed-roots', version: 1 };
/** Payload `{ schedules: Schedule[] }`. */
export const SCHEDULES_RECORD: RecordKind = { kind: 'schedules', version: 1 };
/** Payload {@link FollowedChannel}. */
export const CHANNEL_RECORD: RecordKind = { kind: 'channel', version: 1 };
/** Payload `{ channels: ChannelSeen[] }` (channel-judge.ts), the one that was looked at last first. */
export const CHANNELS_SEEN_RECORD: RecordKind = { kind: 'channels-seen', version: 1 };
/** Payload {@link LoaderRecord}. */
export const LOADER_RECORD: RecordKind = { kind: 'boot-loader', version: 1 };
/** Payload {@link CountingProof}. */
export const COUNTING_PROOF_RECORD: RecordKind = { kind: 'boot-counting-proof', version: 1 };
/** Payload {@link EpochRecord}. */
export const EPOCH_RECORD: RecordKind = { kind: 'epoch', version: 1 };

/** Roots whose security epoch is remembered. */
export const KNOWN_EPOCHS_MAX = 8;
/** Entries of the history that are kept. */
export const HISTORY_MAX = 100;
/** Remembered roots. */
export const FAILED_ROOTS_MAX = 64;
/** Pieces of evidence in one entry of the history. */
export const EVIDENCE_MAX = 16;
/** Characters in each piece. */
export const EVIDENCE_CHARS_MAX = 4096;

/** Default of `--health-check-timeout`, in seconds. */
export const HEALTH_TIMEOUT_SECONDS = 300;
/** Shortest time that a trial may have, in seconds. */
export const TRIAL_SECONDS_MIN = 1;
/** Longest time that a trial may have, in seconds: a day. */
export const TRIAL_SECONDS_MAX = 86_400;
/** Default of `--min-healthy`, in seconds. */
export const MIN_HEALTHY_SECONDS = 10;
/** PID 1 waits this much longer than the agent, in seconds: the agent's reason is the better one. */
export const GUARD_MARGIN_SECONDS = 30;

/**
 * Seconds that a stored policy gives a trial, for the agent and for PID 1. What is no such time is replaced by the default: a
 * trial without a deadline is worse than one with another.
 */
export function storedTrialSeconds(asked: unknown): number {
  const isUsable =
    typeof asked === 'number' && asked >= TRIAL_SECONDS_MIN && asked <= TRIAL_SECONDS_MAX;
  return isUsable ? asked : HEALTH_TIMEOUT_SECONDS;
}

/** A release in a slot. */
export interface SlotRelease {
  readonly slot: 'a' | 'b';
  readonly version: string;
  readonly rootHash: string;
}

/** Security epoch of a root that has run here. */
export interface KnownEpoch {
  readonly rootHash: string;
  readonly epoch: number;
}

/** What is known of security epochs. */
export interface EpochRecord {
  /** The lowest that is taken; 0 when nothing was committed yet. */
  readonly epoch: number;
  /** The newest first. */
  readonly roots: readonly KnownEpoch[];
}

/** How a trial is judged. */
export interface TrialPolicy {
  /** Without it the trial is committed once the API is up. */
  readonly autoRollback: boolean;
  readonly healthTimeoutSeconds: number;
  readonly minHealthySeconds: number;
}

/** What is on trial, from before the entry is armed until the trial is settled. */
export interface TrialRecord {
  /** Id of the entry in the history. */
  readonly id: string;
  readonly kind: 'update' | 'rollback';
  readonly sequence: number;
  readonly from: SlotRelease;
  readonly to: SlotRelease;
  readonly policy: TrialPolicy;
  /** Subject of the operator's certificate, or "schedule <id>". */
  readonly who: string;
  readonly reason: string;
  /** Unix milliseconds. */
  readonly armedMs: number;
  /** Boot id (/proc/sys/kernel/random/boot_id) of the system that armed it: no verdict is given in the same boot. */
  readonly armedBootId: string;
  /** The reboot is the operator's, not the agent's. */
  readonly isRebootLeft: boolean;
  /** The system that armed it had a default gateway: a release that has none afterwards has lost it. */
  readonly hadGateway: boolean;
  /** Checks that were healthy in the system that armed it, and have to be again: names. */
  readonly heldChecks: readonly string[];
}

/** One entry of the history. */
export interface HistoryEntry {
  readonly id: string;
  /** A repair is of what starts the node, and leaves it with the release that runs. */
  readonly kind: 'update' | 'rollback' | 'repair';
  /** True when nobody asked for it: a fallback after a failed trial, or after a committed slot rotted; every repair. */
  readonly automatic: boolean;
  readonly who: string;
  readonly reason: string;
  readonly from: SlotRelease;
  readonly to: SlotRelease;
  /** Unix milliseconds. */
  readonly startedMs: number;
  /** Unix milliseconds; 0 while it is open. */
  readonly endedMs: number;
  readonly outcome: 'open' | 'committed' | 'rolled-back' | 'failed' | 'cancelled';
  /** What failed, in one sentence; empty when nothing did. */
  readonly cause: string;
  /** Code of the error table when an install failed, else empty. */
  readonly code: string;
  /** Last lines of the console, findings of health checks, kernel messages of the crash. */
  readonly evidence: readonly string[];
}

/** How far an install is, for one that goes on after a reboot. */
export interface ResumeRecord {
  /** SHA-256 of the manifest's bytes: the same bundle, whatever its URL. */
  readonly manifestSha256: string;
  readonly slot: 'a' | 'b';
  /** Bytes of the root that are on the disk. */
  readonly writtenBytes: number;
}

/** A root hash that failed its trial. */
export interface FailedRoot {
  readonly rootHash: string;
  readonly version: string;
  readonly atMs: number;
  readonly cause: string;
}

/** When a scheduled update may begin. */
export type ScheduleTime =
  | {
      readonly kind: 'at';
      readonly atMs: number;
      /** It was given as a duration: when the clock is set, the time moves with it. */
      readonly isRelative: boolean;
    }
  /** Weekly windows; days are 0 (Sunday) to 6, minutes are of the day in UTC. */
  | {
      readonly kind: 'window';
      readonly days: readonly number[];
      readonly startMinute: number;
      readonly lengthMinutes: number;
    };

/** A scheduled update. */
export interface Schedule {
  readonly id: string;
  readonly url: string;
  /** SHA-256 of the whole bundle that is expected; empty: the signature alone counts. */
  readonly sha256: string;
  readonly time: ScheduleTime;
  /** It begins up to this much later, drawn once. */
  readonly jitterSeconds: number;
  /** What was drawn. */
  readonly drawnSeconds: number;
  /** A start missed by more than this is not made up for. */
  readonly lateSecondsMax: number;
  readonly policy: TrialPolicy;
  readonly who: string;
  readonly createdMs: number;
  readonly state: 'waiting' | 'running' | 'done' | 'failed' | 'missed' | 'cancelled';
  /** What came of it, in one sentence. */
  readonly result: string;
  /** Unix milliseconds of the next start; 0 when there is none. */
  readonly nextMs: number;
}

/** The boot loader as it was when both of its copies were last seen to be equal. */
export interface LoaderRecord {
  /** Of each copy, hexadecimal. */
  readonly sha256: string;
  /** The boot options were in order as well, at this time or before. */
  readonly hadOptions: boolean;
}

/** With what the boot loader was last seen to count a try. */
export interface CountingProof {
  /** Of both its copies, hexadecimal. */
  readonly loaderSha256: string;
  /** What the firmware says of itself: vendor, version and date. */
  readonly firmware: string;
}

/** The channel that a node follows. */
export interface FollowedChannel {
  /** URL of the release directory. */
  readonly url: string;
  readonly channel: string;
  /** Between two looks, about: each is drawn around it. */
  readonly everySeconds: number;
  /** Look and tell, and install nothing. */
  readonly isCheckOnly: boolean;
  readonly policy: TrialPolicy;
  /** Subject of the operator's certificate. */
  readonly who: string;
  /**
   * Id of the newest entry of the history that had ended when this was set, empty: there was none. What is not newer is not
   * held against a release of the channel. No time: the clock may be wrong then, or later.
   */
  readonly setAfter: string;
}
