/** Scheduled updates as programs and people see them. Addresses are shown without what may be secret in them. */
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { type Schedule, ScheduleSchema } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { formatWindow } from '../core/maintenance-window.ts';
import { type PlainObject, toPlain } from '../core/plain.ts';
import { formatTime } from '../core/quantity.ts';
import { factLines, printable, type View } from '../core/render.ts';
import { shownUrl } from '../core/update-source.ts';
import { policyText } from './trial-policy.ts';

/** The window in words; empty when the schedule has none. */
export function windowText({ window }: Schedule): string {
  return window === undefined ? '' : formatWindow(window);
}

/** The next start; empty when there is none any more. */
export function nextText({ next }: Schedule): string {
  return next === undefined ? '' : formatTime(timestampDate(next));
}

/** A schedule as plain data. */
export function scheduleData(schedule: Schedule): PlainObject {
  return { ...toPlain(ScheduleSchema, schedule), url: shownUrl(schedule.url) };
}

/** All about one schedule. */
export function scheduleView(schedule: Schedule): View {
  const { created } = schedule;
  return {
    data: scheduleData(schedule),
    lines: factLines([
      ['id', schedule.id],
      ['source', shownUrl(schedule.url)],
      ['state', schedule.state],
      ['next start', nextText(schedule)],
      ['window', windowText(schedule)],
      ['trial', policyText(schedule.policy)],
      ['result', schedule.result],
      ['who', schedule.who],
      ['made', created === undefined ? '' : formatTime(timestampDate(created))],
    ]),
  };
}

/** The last line of what makes a schedule. */
export function scheduledText(schedule: Schedule): string {
  const next = nextText(schedule);
  const when = next === '' ? `is ${schedule.state}` : `begins at ${next}`;
  return printable(`Schedule ${schedule.id} ${when}.`);
}
