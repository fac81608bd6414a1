/**
 * When does a scheduled update begin? Pure: the time is an argument, and what is drawn was drawn before. All times are
 * UTC, so that no day has 23 hours.
 */
import type { Schedule, ScheduleTime } from '@keelos/proto/update-record.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Days looked ahead for a window: today, which may be over, and a week. */
const DAYS_AHEAD_MAX = 8;
/** 1 January 1970 was a Thursday. */
const EPOCH_WEEKDAY = 4;

/** A weekly window. */
export type Window = Extract<ScheduleTime, { kind: 'window' }>;

/** One occurrence of a window; it ends before `endMs`. */
export interface Opening {
  readonly startMs: number;
  readonly endMs: number;
}

/** The occurrence that is open at `nowMs`, else the next one. Windows of a day's length may follow one another. */
export function openingAt(window: Window, nowMs: number): Opening {
  const midnightMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const lengthMs = window.lengthMinutes * MINUTE_MS;
  // A window may have begun yesterday and go on past midnight.
  for (let day = -1; day <= DAYS_AHEAD_MAX; day += 1) {
    const dayMs = midnightMs + day * DAY_MS;
    if (!isDayOf(window, dayMs)) continue;
    const startMs = dayMs + window.startMinute * MINUTE_MS;
    if (nowMs < startMs + lengthMs) return { startMs, endMs: startMs + lengthMs };
  }
  throw new RangeError('a window without days');
}

function isDayOf({ days }: Window, dayMs: number): boolean {
  const weekday = (dayMs / DAY_MS + EPOCH_WEEKDAY) % 7;
  return days.length === 0 || days.includes(weekday);
}

/**
 * Start of a schedule, with what was drawn. In a window that is open already it begins from now on; the jitter never
 * reaches past the window's end.
 */
export function startFrom(
  time: ScheduleTime,
  drawnSeconds: number,
  nowMs: number,
): { readonly nextMs: number; readonly endMs: number } {
  const drawnMs = drawnSeconds * SECOND_MS;
  if (time.kind === 'at') return { nextMs: time.atMs + drawnMs, endMs: Number.POSITIVE_INFINITY };
  const { startMs, endMs } = openingAt(time, nowMs);
  const fromMs = Math.max(startMs, nowMs);
  // The share of the window that was drawn holds for what is left of it, so nobody starts past its end.
  const lengthMs = time.lengthMinutes * MINUTE_MS;
  const leftMs = endMs - fromMs;
  return { nextMs: fromMs + Math.floor(drawnMs * (leftMs / lengthMs)), endMs };
}

/** What is to be done with a schedule. */
export type ScheduleDecision =
  | { readonly kind: 'wait' }
  | { readonly kind: 'start' }
  /** Its time is over; `next` is what becomes of it. */
  | { readonly kind: 'missed'; readonly next: Schedule }
  /** The clock was set back: it would wait longer than to its next window. */
  | { readonly kind: 'moved'; readonly next: Schedule };

/** Judges a schedule that waits. */
export function judgeSchedule(schedule: Schedule, nowMs: number): ScheduleDecision {
  const { time, nextMs, lateSecondsMax, drawnSeconds } = schedule;
  if (time.kind === 'at') {
    if (nowMs < nextMs) return { kind: 'wait' };
    if (nowMs <= nextMs + lateSecondsMax * SECOND_MS) return { kind: 'start' };
    const result = `The start at ${iso(nextMs)} was missed by more than ${lateSecondsMax} s.`;
    return { kind: 'missed', next: { ...schedule, state: 'missed', result, nextMs: 0 } };
  }
  const opening = openingAt(time, nextMs);
  if (nowMs >= nextMs && nowMs < opening.endMs) return { kind: 'start' };
  if (nowMs >= opening.endMs) {
    const result = `The window of ${iso(opening.startMs)} was missed.`;
    const next = startFrom(time, drawnSeconds, nowMs).nextMs;
    return { kind: 'missed', next: { ...schedule, result, nextMs: next } };
  }
  const here = openingAt(time, nowMs);
  if (here.startMs >= opening.startMs) return { kind: 'wait' };
  const moved = startFrom(time, drawnSeconds, nowMs).nextMs;
  return { kind: 'moved', next: { ...schedule, nextMs: moved } };
}

/** A clock that is set by less than this is not worth moving a schedule for. */
export const CLOCK_STEP_MS = 5_000;

/** The schedule after the clock was set by `stepMs`: a duration stays as long as it was, a time stays what it says. */
export function afterClockStep(schedule: Schedule, stepMs: number): Schedule {
  const { time, nextMs } = schedule;
  if (!movesWithClock(schedule) || time.kind !== 'at') return schedule;
  if (Math.abs(stepMs) < CLOCK_STEP_MS) return schedule;
  return { ...schedule, time: { ...time, atMs: time.atMs + stepMs }, nextMs: nextMs + stepMs };
}

/** True for one that waits for a duration to go by. */
export function movesWithClock({ time, state }: Schedule): boolean {
  return state === 'waiting' && time.kind === 'at' && time.isRelative;
}

/** Until when an attempt that fails for a passing reason is made again. */
export function retriesUntilMs({ time, nextMs, lateSecondsMax }: Schedule): number {
  const lateMs = nextMs + lateSecondsMax * SECOND_MS;
  return time.kind === 'at' ? lateMs : openingAt(time, nextMs).endMs;
}

const STATE_ORDER: Readonly<Record<Schedule['state'], number>> = {
  running: 0,
  waiting: 1,
  done: 2,
  failed: 2,
  missed: 2,
  cancelled: 2,
};

/** What runs, then the next one first, then what has ended, the newest first. */
export function compareSchedules(a: Schedule, b: Schedule): number {
  const order = STATE_ORDER[a.state] - STATE_ORDER[b.state];
  if (order !== 0) return order;
  return hasEnded(a) ? b.createdMs - a.createdMs : a.nextMs - b.nextMs;
}

/** True when nothing comes of it any more. */
export function hasEnded({ state }: Schedule): boolean {
  return STATE_ORDER[state] === 2;
}

/** Schedules that are kept. */
export const SCHEDULES_MAX = 64;
/** Those among them that have not ended. */
export const OPEN_SCHEDULES_MAX = 16;

/** At most {@link SCHEDULES_MAX}: ended ones go first, the oldest before the others. */
export function withinBounds(schedules: readonly Schedule[]): readonly Schedule[] {
  return schedules.toSorted(compareSchedules).slice(0, SCHEDULES_MAX);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
