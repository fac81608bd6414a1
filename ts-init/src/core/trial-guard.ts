/**
 * Is this boot a trial, and until when may it last? PID 1 holds the deadline, so that neither an agent that never gets
 * up nor one that hangs keeps a release that nobody can reach.
 */
import {
  type EntryName,
  isSpent,
  parseEntryFileName,
  TRIAL_TRIES,
} from '@keelos/proto/boot-entry.ts';
import {
  GUARD_MARGIN_SECONDS,
  HEALTH_TIMEOUT_SECONDS,
  storedTrialSeconds,
} from '@keelos/proto/update-record.ts';

/** What PID 1 reads of the trial record (proto/src/update-record.ts). */
export interface TrialView {
  readonly version: string;
  readonly rootHash: string;
  readonly armedBootId: string;
  readonly healthTimeoutSeconds: number;
}

/** After the agent has given up, the reboot that it asks for must come within this time. */
export const GIVEN_UP_MS = 60_000;
/** Variable that systemd-boot sets for an entry with a counter: its path after the try was spent. */
export const LOADER_PATH_VARIABLE = 'LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';
/** efivarfs puts the attributes before the data. */
const ATTRIBUTES_BYTES = 4;
const LOADER_PATH_BYTES_MAX = 2_048;

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The trial in a decoded record's payload.
 *
 * @throws RangeError naming the field that has not the expected shape.
 */
export function readTrialRecord(payload: unknown): TrialView {
  if (!isFields(payload)) throw new RangeError('it is not an object');
  const { to, policy, armedBootId } = payload;
  if (!isFields(to)) throw new RangeError('to is not an object');
  const { version, rootHash } = to;
  if (typeof version !== 'string') throw new RangeError('to.version is not a string');
  if (typeof rootHash !== 'string') throw new RangeError('to.rootHash is not a string');
  if (typeof armedBootId !== 'string') throw new RangeError('armedBootId is not a string');
  const asked = isFields(policy) ? policy.healthTimeoutSeconds : undefined;
  const healthTimeoutSeconds = storedTrialSeconds(asked);
  return { version, rootHash, armedBootId, healthTimeoutSeconds };
}

/**
 * The entry that the loader started, from the contents of {@link LOADER_PATH_VARIABLE} in efivarfs:
 * "\loader\entries\keel-7+0-1.conf" in UTF-16. Undefined when it is none of ours.
 *
 * The loader sets it only for an entry that had a try left; one that is used up is started without
 * (systemd 257, src/boot/boot.c: boot_entry_bump_counters).
 */
export function loaderEntry(variable: Uint8Array): EntryName | undefined {
  if (variable.length > LOADER_PATH_BYTES_MAX) return undefined;
  const bytes = Buffer.from(variable.buffer, variable.byteOffset, variable.byteLength);
  const path = bytes.toString('utf16le', ATTRIBUTES_BYTES).replace(/\0+$/, '');
  return parseEntryFileName(path.split(/[\\/]/).at(-1) ?? '');
}

/** Root hash on the kernel command line; empty when there is none. */
export function slotHash(commandLine: string): string {
  return /(?:^|\s)keel\.slot-hash=([0-9a-f]{64})(?:\s|$)/.exec(commandLine)?.[1] ?? '';
}

/** What is known of this boot. */
export interface TrialFacts {
  /** Undefined: there is no record, or it cannot be read. */
  readonly record: TrialView | undefined;
  /** Root hash of the running release. */
  readonly rootHash: string;
  readonly bootId: string;
  /** Entry that the loader has spent a try of; undefined when it did not say. */
  readonly entry: EntryName | undefined;
}

/** The answer. */
export type TrialVerdict =
  | {
      readonly isTrial: false;
      readonly why: string;
      /** The loader has started an entry that cannot be one of a trial. */
      readonly isCommitted: boolean;
    }
  | {
      readonly isTrial: true;
      readonly version: string;
      /** Since the start of the kernel. */
      readonly deadlineMs: number;
      readonly knownFrom: 'record' | 'loader';
    };

/** Judges this boot. */
export function judgeTrial({ record, rootHash, bootId, entry }: TrialFacts): TrialVerdict {
  const no = (why: string, isCommitted = false): TrialVerdict => ({
    ...{ isTrial: false, why, isCommitted },
  });
  // A committed entry has more tries than one, and a trial never has any left.
  if (entry !== undefined && !isSpent(entry)) {
    return no('the loader has started a committed entry', true);
  }
  if (record !== undefined) {
    if (record.rootHash !== rootHash) return no('another release is on trial');
    if (record.armedBootId === bootId) return no('it was armed in this boot');
    const deadlineMs = deadlineFor(record.healthTimeoutSeconds);
    return { isTrial: true, version: record.version, deadlineMs, knownFrom: 'record' };
  }
  // A committed entry that has used up its tries has more of them done.
  if (entry?.counter?.done === TRIAL_TRIES) {
    const deadlineMs = deadlineFor(HEALTH_TIMEOUT_SECONDS);
    return { isTrial: true, version: '', deadlineMs, knownFrom: 'loader' };
  }
  return no('nothing is on trial');
}

function deadlineFor(healthTimeoutSeconds: number): number {
  return (healthTimeoutSeconds + GUARD_MARGIN_SECONDS) * 1_000;
}

/** Where the guard stands. A verdict of the agent is final. */
export type GuardState =
  | { readonly phase: 'idle' | 'committed' | 'leaving' }
  | { readonly phase: 'trial' | 'given-up'; readonly deadlineMs: number };

/** What happens to the guard. Times are since the start of the kernel. */
export type GuardEvent =
  | { readonly type: 'judged'; readonly verdict: TrialVerdict }
  | { readonly type: 'settled'; readonly outcome: 'committed' | 'given-up' }
  /** The machine goes down, whoever asked for it. */
  | { readonly type: 'leave' }
  | { readonly type: 'tick' };

/** What the guard has done. */
export type GuardEffect = 'begin-traces' | 'drop-traces' | 'keep-traces' | 'leave';

/** Result of {@link guardStep}. */
export interface GuardStep {
  readonly state: GuardState;
  readonly effects: readonly GuardEffect[];
}

/** Takes one event. */
export function guardStep(state: GuardState, event: GuardEvent, nowMs: number): GuardStep {
  const stay: GuardStep = { state, effects: [] };
  const isOpen = state.phase === 'trial' || state.phase === 'given-up';
  switch (event.type) {
    case 'judged': {
      const { verdict } = event;
      // The record alone was seen first. It is left behind when the power fails right after a commit.
      if (state.phase === 'trial' && !verdict.isTrial && verdict.isCommitted) {
        return { state: { phase: 'committed' }, effects: ['drop-traces'] };
      }
      if (state.phase !== 'idle' || !verdict.isTrial) return stay;
      const { deadlineMs } = verdict;
      return { state: { phase: 'trial', deadlineMs }, effects: ['begin-traces'] };
    }
    case 'settled':
      if (state.phase === 'leaving' || state.phase === 'given-up') return stay;
      if (event.outcome === 'committed') {
        return { state: { phase: 'committed' }, effects: ['drop-traces'] };
      }
      // Given up without a trial: there is nothing to give up.
      if (state.phase !== 'trial') return stay;
      return {
        state: { phase: 'given-up', deadlineMs: nowMs + GIVEN_UP_MS },
        effects: ['keep-traces'],
      };
    case 'leave':
      return isOpen ? { state: { phase: 'leaving' }, effects: ['keep-traces'] } : stay;
    case 'tick':
      if (!isOpen || nowMs < state.deadlineMs) return stay;
      return { state: { phase: 'leaving' }, effects: ['keep-traces', 'leave'] };
  }
}
