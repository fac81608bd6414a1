/** Durations as people write them: "30s", "2m", "1h30m", "500ms". */
import { KeelError } from '@keelos/proto/errors.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const WHOLE = /^(?:\d{1,9}(?:\.\d{1,3})?(?:ms|s|m|h|d))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;
/** Longest duration that is accepted, in milliseconds: 30 days. */
export const DURATION_MS_MAX = 30 * 86_400_000;

/**
 * Milliseconds of `text`; at least 1, at most {@link DURATION_MS_MAX}.
 *
 * @throws KeelError E_USAGE when it is not a duration or out of range.
 */
export function parseDuration(text: string): number {
  const refuse = (reason: string) =>
    new KeelError('E_USAGE', `Cannot use duration "${text}": ${reason}`, {
      hint: 'Write a number and a unit (ms, s, m, h, d), for example 30s, 2m or 1h30m.',
    });
  if (!WHOLE.test(text)) throw refuse('it is not a number with a unit');
  let totalMs = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(PART)) {
    totalMs += Number(amount) * (UNIT_MS[unit] ?? 0);
  }
  totalMs = Math.round(totalMs);
  if (totalMs < 1) throw refuse('it is less than a millisecond');
  if (totalMs > DURATION_MS_MAX) throw refuse('it is longer than 30 days');
  return totalMs;
}

/** `ms` for people, its two largest units: "450 ms", "12 s", "3 min 5 s", "2 h 10 min", "4 d 1 h". The sign is dropped. */
export function formatDuration(ms: number): string {
  const absolute = Math.abs(ms);
  if (absolute < 1000) return `${Math.round(absolute)} ms`;
  const seconds = Math.floor(absolute / 1000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}
