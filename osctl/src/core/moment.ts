/** Points in time as people write them: ISO 8601 with a zone, because nobody should have to guess whose clock is meant. */
import { KeelError } from '@keelos/proto/errors.ts';

const MOMENT = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}:\d{2}(?::\d{2})?)\s*([Zz]|[+-]\d{2}:\d{2})$/;

/**
 * Unix milliseconds of "2026-11-25T02:00Z" or "2026-11-25 03:00:00+01:00".
 *
 * @throws KeelError E_USAGE when it is no such time, or one that no calendar has.
 */
export function parseMoment(text: string): number {
  const refuse = (reason: string) =>
    new KeelError('E_USAGE', `Cannot use time "${text}": ${reason}`, {
      hint: 'Write a date, a time and a zone, for example 2026-11-25T02:00:00Z or 2026-11-25T03:00:00+01:00.',
    });
  const found = MOMENT.exec(text.trim());
  if (found === null) throw refuse('it is not a date and a time with a zone');
  const [, year = '', month = '', day = '', time = '', zone = ''] = found;
  const isInCalendar =
    new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() === Number(day);
  const ms = Date.parse(`${year}-${month}-${day}T${time}${zone.toUpperCase()}`);
  if (!isInCalendar || Number.isNaN(ms)) throw refuse('there is no such time');
  return ms;
}
