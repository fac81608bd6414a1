/**
 * Schedules as they come from the disk, and what became of one that has begun.
 */
import type { HistoryEntry, Schedule } from '@keelos/proto/update-record.ts';
import { SCHEDULES_MAX } from './schedule.ts';

const STATES: readonly unknown[] = ['waiting', 'running', 'done', 'failed', 'missed', 'cancelled'];
const TEXTS = ['id', 'url', 'sha256', 'who', 'result'] as const;
const NUMBERS = ['jitterSeconds', 'drawnSeconds', 'lateSecondsMax', 'createdMs', 'nextMs'] as const;

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isNumber = (value: unknown) => typeof value === 'number' && Number.isFinite(value);

/** Schedules of a record's payload; undefined when it has another shape. */
export function schedulesFrom(value: unknown): readonly Schedule[] | undefined {
  if (!isFields(value) || !Array.isArray(value.schedules)) return undefined;
  const { schedules } = value;
  if (!schedules.every(isSchedule)) return undefined;
  return schedules.slice(0, SCHEDULES_MAX);
}

function isSchedule(value: unknown): value is Schedule {
  return (
    isFields(value) &&
    TEXTS.every((key) => typeof value[key] === 'string') &&
    NUMBERS.every((key) => isNumber(value[key])) &&
    STATES.includes(value.state) &&
    isTime(value.time) &&
    isPolicy(value.policy)
  );
}

function isTime(value: unknown): boolean {
  if (!isFields(value)) return false;
  if (value.kind === 'at') return isNumber(value.atMs) && typeof value.isRelative === 'boolean';
  return (
    value.kind === 'window' &&
    Array.isArray(value.days) &&
    value.days.every((day: unknown) => isNumber(day) && Number(day) >= 0 && Number(day) <= 6) &&
    isNumber(value.startMinute) &&
    isNumber(value.lengthMinutes) &&
    Number(value.lengthMinutes) >= 1
  );
}

function isPolicy(value: unknown): boolean {
  return (
    isFields(value) &&
    typeof value.autoRollback === 'boolean' &&
    isNumber(value.healthTimeoutSeconds) &&
    isNumber(value.minHealthySeconds)
  );
}

/** What the history calls the one who has begun a scheduled update. */
export function scheduleSubject(id: string): string {
  return `schedule ${id}`;
}

/** How a schedule that runs stands, by the newest entry that it has made. */
export type ScheduleOutcome =
  /** No entry: it was cut off before the install had begun. */
  | { readonly kind: 'unknown' | 'open' }
  | { readonly kind: 'done' | 'failed'; readonly result: string };

/** Reads the history, the newest first. */
export function outcomeOf(entries: readonly HistoryEntry[], id: string): ScheduleOutcome {
  const entry = entries.find(({ who }) => who === scheduleSubject(id));
  if (entry === undefined) return { kind: 'unknown' };
  const cause = entry.cause === '' ? '' : ` ${entry.cause}`;
  switch (entry.outcome) {
    case 'open':
      return { kind: 'open' };
    case 'committed':
      return { kind: 'done', result: `Release ${entry.to.version} is committed.` };
    case 'rolled-back':
      return { kind: 'failed', result: `The node is back on ${entry.from.version}:${cause}` };
    case 'failed':
      return { kind: 'failed', result: `The install failed:${cause}` };
    case 'cancelled':
      return { kind: 'failed', result: 'The install was cancelled.' };
  }
}

/** The schedule with what has come of it; the same object while that is open, and for one that does not run. */
export function settledBy(entries: readonly HistoryEntry[], schedule: Schedule): Schedule {
  if (schedule.state !== 'running') return schedule;
  const outcome = outcomeOf(entries, schedule.id);
  if (outcome.kind !== 'done' && outcome.kind !== 'failed') return schedule;
  return { ...schedule, state: outcome.kind, result: outcome.result, nextMs: 0 };
}
