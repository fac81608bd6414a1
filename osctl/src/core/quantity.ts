/** Numbers and moments in the form of the tables. */
import { formatDuration } from './duration.ts';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `bytes` with a binary unit and at most one decimal: "0 B", "1.5 MiB", "118 MiB". */
export function formatBytes(bytes: bigint | number): string {
  let amount = Number(bytes);
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  const text = unit === 0 || amount >= 100 ? amount.toFixed(0) : amount.toFixed(1);
  return `${text} ${UNITS[unit]}`;
}

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
