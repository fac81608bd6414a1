/** Weekly maintenance windows as people write them: "sun 02:00-04:00", "mon-fri 22:00-06:00", "daily 01:30-03:00". */
import { KeelError } from '@keelos/proto/errors.ts';

/** A weekly time in UTC, as the API has it. */
export interface WindowSpec {
  /** 0 (Sunday) to 6, in order, each once; empty: every day. */
  readonly days: readonly number[];
  /** Minute of the day, 0 to 1439. */
  readonly startMinute: number;
  /** 1 to 1440. */
  readonly lengthMinutes: number;
}

const DAYS: readonly string[] = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const EVERY_DAY = 'daily';
const DAY_MINUTES = 24 * 60;
const WINDOW = /^(?:([a-z,-]{3,64})\s+)?(\d{2}):(\d{2})-(\d{2}):(\d{2})(?:\s*utc)?$/;

function dayNumber(name: string): number | undefined {
  const index = DAYS.indexOf(name);
  return index === -1 ? undefined : index;
}

/** Days of "mon", "mon-fri" or "sat-mon"; undefined when a name is not one of a day. */
function daysOf(part: string): number[] | undefined {
  const [first = '', last, ...more] = part.split('-');
  const from = dayNumber(first);
  const to = last === undefined ? from : dayNumber(last);
  if (from === undefined || to === undefined || more.length > 0) return undefined;
  const count = ((to - from + DAYS.length) % DAYS.length) + 1;
  return Array.from({ length: count }, (_, index) => (from + index) % DAYS.length);
}

function minuteOf(hours: string, minutes: string): number | undefined {
  const [hour, minute] = [Number(hours), Number(minutes)];
  return hour < 24 && minute < 60 ? hour * 60 + minute : undefined;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/**
 * Reads "[DAYS] HH:MM-HH:MM", in UTC. DAYS are "daily", or three-letter names and ranges of them with commas between. A
 * window that ends before it begins goes over midnight; one that ends when it begins takes a whole day.
 *
 * @throws KeelError E_USAGE when it is none.
 */
export function parseWindow(text: string): WindowSpec {
  const refuse = (reason: string) =>
    new KeelError('E_USAGE', `Cannot use window "${text}": ${reason}`, {
      hint: 'Write days and times in UTC, for example "sun 02:00-04:00", "mon-fri 22:00-06:00" or "daily 01:30-03:00".',
    });
  const found = WINDOW.exec(text.trim().toLowerCase());
  if (found === null) throw refuse('it is not days with a time from and to');
  const [, names = EVERY_DAY, fromHour = '', fromMinute = '', toHour = '', toMinute = ''] = found;
  const startMinute = minuteOf(fromHour, fromMinute);
  const isMidnight = toHour === '24' && toMinute === '00';
  const endMinute = isMidnight ? 0 : minuteOf(toHour, toMinute);
  if (startMinute === undefined || endMinute === undefined) {
    throw refuse('the day has the times 00:00 to 24:00');
  }
  const lists = names === EVERY_DAY ? [[]] : names.split(',').map(daysOf);
  const days = new Set<number>();
  for (const list of lists) {
    if (list === undefined) throw refuse(`the days are ${EVERY_DAY}, ${DAYS.join(', ')}`);
    for (const day of list) days.add(day);
  }
  return {
    days: days.size === DAYS.length ? [] : [...days].sort((a, b) => a - b),
    startMinute,
    lengthMinutes: (endMinute - startMinute + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES,
  };
}

/** The written form, which {@link parseWindow} reads back: "sun,sat 22:00-06:00 UTC". */
export function formatWindow({ days, startMinute, lengthMinutes }: WindowSpec): string {
  const names = days.map((day) => DAYS[day] ?? String(day));
  const time = (minute: number) =>
    `${twoDigits(Math.floor(minute / 60) % 24)}:${twoDigits(minute % 60)}`;
  const end = (startMinute + lengthMinutes) % DAY_MINUTES;
  return `${names.join(',') || EVERY_DAY} ${time(startMinute)}-${time(end)} UTC`;
}
