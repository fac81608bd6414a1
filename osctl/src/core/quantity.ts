/** Numbers and moments in the form of the tables. */
import { formatDuration } from './duration.ts';

/** ISO 8601 in UTC with seconds, for example "2026-11-24T12:15:00Z"; "never" when absent. */
export function formatTime(date: Date | undefined): string {
  if (date === undefined) return 'never';
  return `${date.toISOString().slice(0, 19)}Z`;
}

/** How far `date` lies from `now`: "3 min ago", "in 2 h 5 min". */
export function formatRelative(date: Date, now: number): string {
  const distanceMs = date.getTime() - now;
  if (Math.abs(distanceMs) < 1000) return 'now';
  const text = formatDuration(distanceMs);
  return distanceMs < 0 ? `${text} ago` : `in ${text}`;
}

/** "1 check", "3 checks". */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
