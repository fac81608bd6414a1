/** How an update is going: one value that grows, and the speed of what is copied. Pure. */
import type { HistoryEntry } from '@keelos/proto/update-record.ts';
import type { UpdateState } from './update-transitions.ts';

/** Phases that are told, in order. The course of an update (core/update-transitions.ts) has finer states. */
export type UpdatePhase =
  | 'none'
  | 'checking'
  | 'disarming'
  | 'writing'
  | 'verifying'
  | 'arming'
  | 'armed'
  | 'trial'
  | 'committed'
  | 'failed'
  | 'cancelled'
  | 'checked';

/** State of an update. */
export interface UpdateStatus {
  /** Empty when there was none. */
  readonly id: string;
  readonly phase: UpdatePhase;
  readonly version: string;
  readonly rootHash: string;
  /** Undefined until it is known. */
  readonly slot: 'a' | 'b' | undefined;
  readonly doneBytes: number;
  /** 0 when the phase has none. */
  readonly totalBytes: number;
  readonly resumedBytes: number;
  /** 0 when not known. */
  readonly bytesPerSecond: number;
  /** Undefined when not known. */
  readonly remainingMs: number | undefined;
  readonly errorCode: string;
  readonly errorMessage: string;
  /** Unix milliseconds; 0 when there was none. */
  readonly startedMs: number;
  readonly waitingFor: readonly string[];
  /** Fetched from servers so far. */
  readonly fetchedBytes: number;
  /** Of the whole bundle; 0 until it is known. */
  readonly bundleBytes: number;
  /** The bundle is made of a delta. */
  readonly isDelta: boolean;
  /** Why a delta is not used that was asked for; empty: it is, or there was none. */
  readonly fallbackReason: string;
}

/** Nothing was installed since the agent started. */
export const NO_UPDATE: UpdateStatus = {
  id: '',
  phase: 'none',
  version: '',
  rootHash: '',
  slot: undefined,
  doneBytes: 0,
  totalBytes: 0,
  resumedBytes: 0,
  bytesPerSecond: 0,
  remainingMs: undefined,
  errorCode: '',
  errorMessage: '',
  startedMs: 0,
  waitingFor: [],
  fetchedBytes: 0,
  bundleBytes: 0,
  isDelta: false,
  fallbackReason: '',
};

/** Phase of each state. */
const PHASES: Readonly<Record<UpdateState, UpdatePhase>> = {
  idle: 'none',
  checking: 'checking',
  reading: 'checking',
  inspecting: 'checking',
  disarming: 'disarming',
  writing: 'writing',
  verifying: 'verifying',
  proving: 'verifying',
  placing: 'arming',
  arming: 'arming',
  armed: 'armed',
  unarming: 'armed',
  undoing: 'arming',
  rebooting: 'armed',
  checked: 'checked',
  failed: 'failed',
  cancelled: 'cancelled',
};

/** Status after a change of state: what belongs to the phase before begins anew. */
export function enteredState(status: UpdateStatus, state: UpdateState): UpdateStatus {
  const phase = PHASES[state];
  if (phase === status.phase) return status;
  const { doneBytes, totalBytes, bytesPerSecond, remainingMs, waitingFor } = NO_UPDATE;
  return { ...status, phase, doneBytes, totalBytes, bytesPerSecond, remainingMs, waitingFor };
}

/** Status of an update that is known from the history alone. */
export function endedStatus(entry: HistoryEntry): UpdateStatus {
  const { id, to, outcome, cause, code, startedMs } = entry;
  const { slot, version, rootHash } = to;
  const phase = outcome === 'committed' || outcome === 'cancelled' ? outcome : 'failed';
  const errorCode = outcome === 'rolled-back' ? 'E_UPDATE_ROLLED_BACK' : code;
  const error = phase === 'failed' ? { errorCode, errorMessage: cause } : {};
  return { ...NO_UPDATE, id, phase, slot, version, rootHash, startedMs, ...error };
}

/** True when nothing will change by itself any more in this boot. */
export function isFinal({ phase }: UpdateStatus): boolean {
  return ['none', 'committed', 'failed', 'cancelled', 'checked'].includes(phase);
}

/** The slot that an update is changing or is about to arm; undefined when none is. */
export function writtenSlot({ phase, slot }: UpdateStatus): UpdateStatus['slot'] {
  return ['disarming', 'writing', 'verifying', 'arming'].includes(phase) ? slot : undefined;
}

/** Time over which the speed is taken. */
export const SPEED_WINDOW_MS = 5_000;
/** Less than this says nothing yet. */
const SPEED_MS_MIN = 500;
/** Samples that are kept: one each quarter of a second. */
const SAMPLE_MS = 250;

/** A point of a copy. */
export interface SpeedSample {
  readonly atMs: number;
  readonly doneBytes: number;
}

/** Samples with a new one; those before the window go, and so does all when the count begins again. */
export function withSample(
  samples: readonly SpeedSample[],
  sample: SpeedSample,
): readonly SpeedSample[] {
  const last = samples.at(-1);
  if (last !== undefined && sample.doneBytes < last.doneBytes) return [sample];
  if (last !== undefined && sample.atMs - last.atMs < SAMPLE_MS) return samples;
  return [...samples.filter(({ atMs }) => sample.atMs - atMs <= SPEED_WINDOW_MS), sample];
}

/** Speed and the time that is left, from the samples of a copy up to `now`. */
export function speedOf(
  samples: readonly SpeedSample[],
  now: SpeedSample & { readonly totalBytes: number },
): Pick<UpdateStatus, 'bytesPerSecond' | 'remainingMs'> {
  const first = samples[0];
  const elapsedMs = first === undefined ? 0 : now.atMs - first.atMs;
  if (first === undefined || elapsedMs < SPEED_MS_MIN) {
    return { bytesPerSecond: 0, remainingMs: undefined };
  }
  const perMs = (now.doneBytes - first.doneBytes) / elapsedMs;
  const leftBytes = Math.max(0, now.totalBytes - now.doneBytes);
  return {
    bytesPerSecond: Math.round(perMs * 1000),
    remainingMs: perMs > 0 ? Math.round(leftBytes / perMs) : undefined,
  };
}
