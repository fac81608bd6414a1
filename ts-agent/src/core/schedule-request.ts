/**
 * From what an operator asks for to a schedule, or to what is wrong with it.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import type { Schedule, ScheduleTime, TrialPolicy } from '@keelos/proto/update-record.ts';
import { startFrom, type Window } from './schedule.ts';
import { parseSourceUrl } from './source-address.ts';

/** What was asked for; absent values have their defaults. */
export interface ScheduleRequest {
  readonly url: string;
  readonly sha256: string;
  readonly when: { readonly atMs: number } | { readonly inSeconds: number } | Omit<Window, 'kind'>;
  readonly jitterSeconds: number;
  readonly lateSecondsMax: number | undefined;
  readonly policy: TrialPolicy;
  readonly who: string;
}

/** What the place where it is made knows. */
export interface ScheduleOrigin {
  readonly id: string;
  readonly nowMs: number;
  /** 0 to below 1, drawn for this schedule. */
  readonly share: number;
}

/** Default of `late_max`, in seconds. */
export const LATE_SECONDS = 3_600;
const LATE_SECONDS_MAX = 7 * 86_400;
const JITTER_SECONDS_MAX = 86_400;
/** How far ahead a start may lie: two years. */
export const AHEAD_MS_MAX = 2 * 366 * 86_400_000;
/** A time that was now when the caller wrote it. */
const PAST_MS_MAX = 60_000;
const DAY_MINUTES = 1_440;

function refuse(reason: string): never {
  throw new KeelError('E_INVALID_ARGUMENT', `Cannot schedule the update: ${reason}`);
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max;
}

/** A waiting schedule. @throws KeelError E_INVALID_ARGUMENT */
export function scheduleFrom(request: ScheduleRequest, origin: ScheduleOrigin): Schedule {
  const { url, sha256, jitterSeconds, lateSecondsMax = LATE_SECONDS, policy, who } = request;
  parseSourceUrl(url);
  if (sha256 !== '' && !/^[0-9a-f]{64}$/.test(sha256)) {
    refuse('sha256 has not 64 lower-case hexadecimal digits');
  }
  if (!isWhole(jitterSeconds, 0, JITTER_SECONDS_MAX)) {
    refuse(`jitter is not within 0 and ${JITTER_SECONDS_MAX} s`);
  }
  if (!isWhole(lateSecondsMax, 0, LATE_SECONDS_MAX)) {
    refuse(`late_max is not within 0 and ${LATE_SECONDS_MAX} s`);
  }
  const time = timeFrom(request.when, origin.nowMs);
  if (time.kind === 'window' && jitterSeconds >= time.lengthMinutes * 60) {
    refuse(`jitter of ${jitterSeconds} s is as long as the window`);
  }
  const drawnSeconds = Math.floor(origin.share * (jitterSeconds + 1));
  return {
    id: origin.id,
    url,
    sha256,
    time,
    jitterSeconds,
    drawnSeconds,
    lateSecondsMax,
    policy,
    who,
    createdMs: origin.nowMs,
    state: 'waiting',
    result: '',
    nextMs: startFrom(time, drawnSeconds, origin.nowMs).nextMs,
  };
}

function timeFrom(when: ScheduleRequest['when'], nowMs: number): ScheduleTime {
  if ('lengthMinutes' in when) return windowFrom(when);
  const isRelative = 'inSeconds' in when;
  if (isRelative && !(when.inSeconds >= 0)) refuse('the duration is negative');
  const atMs = Math.round(isRelative ? nowMs + when.inSeconds * 1_000 : when.atMs);
  if (!Number.isSafeInteger(atMs)) refuse('the time is not one');
  const now = new Date(nowMs).toISOString();
  if (atMs < nowMs - PAST_MS_MAX) refuse(`the time is past: the node's clock says ${now}`);
  if (atMs > nowMs + AHEAD_MS_MAX) {
    refuse(`the time is more than two years ahead: the node's clock says ${now}`);
  }
  return { kind: 'at', atMs, isRelative };
}

function windowFrom({ days, startMinute, lengthMinutes }: Omit<Window, 'kind'>): ScheduleTime {
  if (!days.every((day) => isWhole(day, 0, 6))) refuse('a day of the window is not within 0 and 6');
  if (new Set(days).size !== days.length) refuse('a day of the window is there twice');
  if (!isWhole(startMinute, 0, DAY_MINUTES - 1)) {
    refuse(`the window's start is not within 0 and ${DAY_MINUTES - 1} minutes`);
  }
  if (!isWhole(lengthMinutes, 1, DAY_MINUTES)) {
    refuse(`the window's length is not within 1 and ${DAY_MINUTES} minutes`);
  }
  return { kind: 'window', days: days.toSorted((a, b) => a - b), startMinute, lengthMinutes };
}
